// A recording on a page of its own: it follows the system's theme, hears every key, and starts by itself.

import { PlayerView } from "./player_view.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => (document.body.dataset.jpThemeLight = String(!dark.matches));
dark.addEventListener("change", follow);
follow();

const recording = JSON.parse(document.querySelector("#recording").textContent);
const player = new PlayerView(document.querySelector("#player"), recording, { keys: document });
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) player.toggle();
