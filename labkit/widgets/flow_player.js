// A recording in a notebook. All of it is on the page: playing asks nothing of the kernel.

import { PlayerView } from "./player_view.js";

function render({ model, el }) {
  const player = new PlayerView(el, model.get("recording"));
  return () => player.stop();
}

export default { render };
