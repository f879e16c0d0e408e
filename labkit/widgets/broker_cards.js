// A card for each broker: version, address, state, time to ready.

import { LIFE_WORDS, keepAlive, keepKeys, make, setText } from "./liveness.js";
import { STATE_WORDS, TITLES, formatSeconds } from "./flow_numbers.js";

const HOW_WORDS = { process: "runs as a process of this lab", external: "runs somewhere else", container: "runs in a container" };
const COPIED_MS = 1500;

/** What a card says about the time it took, or takes. */
export function timeWords(card) {
  if (card.state === "starting") return `${card.elapsed.toFixed(1)} s`;
  if (card.state === "running" && card.ready_in != null) return `ready in ${formatSeconds(card.ready_in)}`;
  return "";
}

/** An address that may break after its parts, and keeps host and port together. */
function breakable(address) {
  return address.split(/(?<=\/\/|@)/).flatMap((part) => [document.createElement("wbr"), part]);
}

class CardView {
  constructor(broker) {
    this.title = TITLES[broker] ?? broker;
    this.root = make("article", "lk-card");
    this.root.dataset.broker = broker;
    this.root.dataset.state = "waiting";
    this.root.setAttribute("aria-label", this.title);
    this.version = make("span", "lk-version");
    this.state = make("span", "lk-cardstate");
    this.time = make("span", "lk-time");
    this.how = make("p", "lk-how");
    const head = make("div", "lk-cardhead");
    head.append(make("span", "lk-mark"), make("h4", "lk-cardname", this.title), this.version);
    const line = make("div", "lk-cardline");
    line.append(this.state, this.time);
    this.root.append(head, line, make("div", "lk-progress"), this.makeAddress(), this.how);
  }

  makeAddress() {
    this.address = make("button", "lk-button lk-copy");
    this.address.type = "button";
    this.url = make("code", "lk-url");
    this.hint = make("span", "lk-hint");
    this.address.append(this.url, this.hint);
    this.address.hidden = true;
    this.address.addEventListener("click", () => this.copy());
    return this.address;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.url.textContent);
      setText(this.hint, "copied");
    } catch {
      // No clipboard here (a page without a secure address): select it, so that Ctrl-C does.
      getSelection().selectAllChildren(this.url);
      setText(this.hint, "selected");
    }
    setTimeout(() => setText(this.hint, ""), COPIED_MS);
  }

  /** @returns whether the broker is in another state than before. */
  show(card) {
    const isNew = this.root.dataset.state !== card.state;
    this.root.dataset.state = card.state;
    setText(this.version, card.version ?? "");
    setText(this.state, card.state === "missing" ? "not on this machine" : STATE_WORDS[card.state]);
    setText(this.time, timeWords(card));
    setText(this.how, card.remedy ? `To get it: ${card.remedy}` : card.doing || (HOW_WORDS[card.how] ?? ""));
    if (isNew || this.url.textContent !== card.url) this.url.replaceChildren(...breakable(card.url ?? ""));
    this.address.setAttribute("aria-label", `Copy ${this.title}'s address ${card.url ?? ""}`);
    this.address.hidden = !card.url;
    return isNew;
  }
}

function render({ model, el }) {
  const root = make("div", "labkit lk-cards");
  const grid = make("div", "lk-cardgrid");
  const life = make("p", "lk-cardlife");
  const error = make("p", "lk-error");
  const news = make("p", "lk-unseen");
  error.setAttribute("role", "alert");
  news.setAttribute("aria-live", "polite");
  root.append(grid, error, life, news);
  el.append(root);

  let views = {};
  const build = () => {
    views = Object.fromEntries(model.get("brokers").map((broker) => [broker, new CardView(broker)]));
    grid.replaceChildren(...Object.values(views).map((view) => view.root));
  };
  const alive = keepAlive({
    model,
    root,
    onLife: (word) => {
      root.dataset.life = word;
      setText(life, word === "busy" || word === "gone" ? LIFE_WORDS[word] : "");
    },
    onVisible: () => {},
  });
  const received = (message) => {
    alive.heard(message.type === "stopped");
    if (message.type === "error") setText(error, message.text);
    for (const card of message.cards ?? []) {
      if (views[card.broker]?.show(card)) setText(news, `${views[card.broker].title} is ${STATE_WORDS[card.state] ?? card.state}.`);
    }
  };
  model.on("msg:custom", received);
  model.on("change:brokers", build);
  keepKeys(root);
  build();
  return () => {
    model.off("msg:custom", received);
    model.off("change:brokers", build);
    alive.stop();
    root.remove();
  };
}

export default { render };
