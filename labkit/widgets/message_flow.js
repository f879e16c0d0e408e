// The live picture: what the kernel tells is drawn at once, and the controls act on the real brokers.

import { formatCount } from "./flow_numbers.js";
import { FlowView } from "./flow_view.js";
import { LIFE_WORDS, keepAlive, make, setText } from "./liveness.js";

class LiveView extends FlowView {
  constructor(model, el) {
    super(el, {
      title: model.get("title"),
      lanes: model.get("lanes_shown"),
      can: model.get("can"),
      act: (type, broker) => this.ask({ type, broker }),
    });
    this.model = model;
    this.life = make("span", "lk-life");
    this.error = make("p", "lk-error");
    this.error.setAttribute("role", "alert");
    if (this.can.includes("rate")) this.bar.append(this.makeSlider());
    this.bar.append(this.life);
    this.bar.after(this.error);
  }

  makeSlider() {
    const stops = this.model.get("rates");
    const label = (this.slider = make("label", "lk-slider"));
    const slider = make("input", "lk-range");
    const output = make("span", "lk-output");
    Object.assign(slider, { type: "range", min: 0, max: stops.length - 1, step: 1 });
    const say = (rate) => {
      const words = rate ? `${formatCount(rate)} msg/s each` : "paused";
      setText(output, words);
      slider.setAttribute("aria-valuetext", words);
      slider.style.setProperty("--lk-filled", `${(100 * slider.value) / Math.max(1, stops.length - 1)}%`);
    };
    slider.addEventListener("input", () => {
      const rate = stops[Number(slider.value)];
      say(rate);
      this.ask({ type: "rate", rate });
    });
    this.showRate = () => {
      slider.value = String(Math.max(0, stops.indexOf(this.model.get("rate"))));
      say(this.model.get("rate"));
    };
    this.showRate();
    label.append(make("span", "lk-sliderlabel", "Publish"), slider, output);
    return label;
  }

  /** Draw the lanes the lesson declares now. */
  declare() {
    this.build(this.model.get("lanes_shown"));
    if (this.root.dataset.life) this.showLife(this.root.dataset.life);
  }

  ask(message) {
    setText(this.error, "");
    this.send(message);
  }

  received(message) {
    if (message.type === "batch") this.showBatch(message);
    if (message.type === "error") setText(this.error, message.text);
  }

  showLife(word) {
    this.root.dataset.life = word;
    setText(this.life, LIFE_WORDS[word]);
    const isOver = word === "stopped" || word === "gone";
    if (this.slider) this.slider.inert = isOver;
    for (const lane of this.lanes) lane.setOver(isOver);
  }
}

function render({ model, el }) {
  const view = new LiveView(model, el);
  const life = keepAlive({
    model,
    root: view.root,
    onLife: (word) => view.showLife(word),
    onVisible: (isVisible) => view.setVisible(isVisible),
  });
  view.send = life.send;
  const received = (message) => {
    life.heard(message.type === "stopped");
    view.received(message);
  };
  const handlers = {
    "msg:custom": received,
    "change:lanes_shown": () => view.declare(),
    "change:title": () => setText(view.title, model.get("title")),
    "change:rate": () => view.showRate?.(),
  };
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
    life.stop();
    view.stop();
  };
}

export default { render };
