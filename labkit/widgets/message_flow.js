// The live picture: lanes of brokers, real messages as dots, true totals, and the controls.

import { LaneView } from "./flow_lane.js";
import { columnsFor, rowsFor } from "./flow_layout.js";
import { DotRatio, PUBLISHER, STATE_WORDS, dotWords, formatCount, sumOf } from "./flow_numbers.js";
import { LIFE_WORDS, keepAlive, keepKeys, make, onTheme, setText } from "./liveness.js";

const BATCH_SECONDS = 0.05;
const DESCRIBE_MS = 1000;
const LONGEST_FRAME = 1;

class FlowView {
  constructor(model, el) {
    this.model = model;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.ratio = new DotRatio();
    this.total = null;
    this.frame = 0;
    this.drawnAt = 0;
    this.isVisible = true;
    this.root = make("div", "labkit lk-flow");
    this.grid = make("div", "lk-grid");
    this.error = make("p", "lk-error");
    this.error.setAttribute("role", "alert");
    this.news = make("p", "lk-unseen");
    this.news.setAttribute("aria-live", "polite");
    this.root.append(this.makeBar(), this.error, this.grid, this.makeLegend(), this.news);
    el.append(this.root);
    this.build();
  }

  makeBar() {
    const bar = make("div", "lk-bar");
    this.life = make("span", "lk-life");
    this.title = make("span", "lk-title", this.model.get("title"));
    bar.append(this.title);
    if (this.model.get("can").includes("rate")) bar.append(this.makeSlider());
    bar.append(this.life);
    return bar;
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
      this.act({ type: "rate", rate });
    });
    this.showRate = () => {
      slider.value = String(Math.max(0, stops.indexOf(this.model.get("rate"))));
      say(this.model.get("rate"));
    };
    this.showRate();
    label.append(make("span", "lk-sliderlabel", "Publish"), slider, output);
    return label;
  }

  makeLegend() {
    const legend = make("div", "lk-legend");
    this.dotWords = make("span", "lk-ratio", dotWords(1));
    const entries = {
      dot: "a message",
      again: "delivered again",
      cross: "lost: refused, or nobody listened",
      doubt: "in doubt: sent, and no answer came",
    };
    for (const [shape, words] of Object.entries(entries)) {
      const entry = make("span", "lk-entry");
      entry.append(make("span", `lk-shape lk-shape-${shape}`), make("span", "", words));
      legend.append(entry);
    }
    legend.append(this.dotWords);
    return legend;
  }

  /** Make the lanes anew: at first, and when the lesson declares others. */
  build() {
    const can = this.model.get("can");
    const act = (type, broker) => this.act({ type, broker });
    this.lanes = this.model.get("lanes_shown").map((lane) => new LaneView(lane, { can, act, moves: () => this.moves() }));
    this.rows = rowsFor(this.model.get("lanes_shown"));
    this.grid.replaceChildren(...this.lanes.map((lane) => lane.root));
    if (this.root.dataset.life) this.showLife(this.root.dataset.life);
    this.place();
  }

  /** Fit everything to the width there is. */
  place() {
    const width = this.root.clientWidth;
    if (!width) return;
    this.grid.dataset.columns = columnsFor(width, this.lanes.length);
    for (const lane of this.lanes) lane.place(lane.stage.clientWidth, this.rows);
    this.redraw();
  }

  recolour() {
    for (const lane of this.lanes) lane.recolour();
    this.redraw();
  }

  act(message) {
    setText(this.error, "");
    this.send(message);
  }

  moves() {
    return this.isVisible && !this.calm.matches;
  }

  received(message) {
    if (message.type === "batch") this.showBatch(message);
    if (message.type === "error") setText(this.error, message.text);
  }

  showBatch(batch) {
    // A batch for other lanes than these: the declaration of the new ones is on its way.
    if (batch.lanes.length !== this.lanes.length) return;
    const now = performance.now() / 1000;
    for (const [broker, state] of batch.changes) this.announce(broker, state, now);
    this.lanes.forEach((lane, at) => this.showLane(lane, batch.lanes[at], batch.at, now));
    this.addDots(batch, now);
    if (!batch.dots.length && !this.calm.matches) this.lanes.forEach((lane) => lane.isUp && lane.beat());
    setText(this.dotWords, this.calm.matches ? "dots are off: reduced motion" : dotWords(this.ratio.messages));
    this.redraw();
  }

  showLane(lane, news, at, now) {
    if (news.publishers.length !== lane.publishers.length || news.subscribers.length !== lane.subscribers.length) return;
    lane.show(news, at);
    lane.showState(news.state, news.ready_in, now);
  }

  /** A state may be over before the batch that tells it; it is shown and said all the same. */
  announce(broker, state, now) {
    for (const lane of this.lanes) {
      if (lane.lane.broker !== broker || !lane.showState(state, null, now)) continue;
      setText(this.news, `${lane.title} is ${STATE_WORDS[state]}.`);
    }
  }

  addDots(batch, now) {
    const events = this.countNew(batch);
    // A frame asked for long ago and not yet drawn: the page was frozen, and what comes now is a burst.
    const wasFrozen = this.frame !== 0 && now - this.drawnAt > LONGEST_FRAME;
    if (!this.moves() || wasFrozen) return;
    const drawn = batch.dots.filter(([lane, kind, node, when]) =>
      this.lanes[lane].addDot(kind, node, now + Math.min(when, BATCH_SECONDS)),
    );
    if (events) this.ratio.add(batch.at, events, drawn.filter(([, kind]) => COMMON.has(kind)).length);
  }

  /** How many sends and deliveries happened since the last batch. */
  countNew(batch) {
    const total = batch.lanes.reduce((sum, lane) => sum + sumOf(lane.publishers, [PUBLISHER.sent]) + sumOf(lane.subscribers, [0, 1]), 0);
    const events = this.total === null ? 0 : total - this.total;
    this.total = total;
    return events;
  }

  setVisible(isVisible) {
    this.isVisible = isVisible;
    for (const lane of this.lanes) lane.motion.clear();
    if (isVisible) this.redraw();
  }

  showLife(word) {
    this.root.dataset.life = word;
    setText(this.life, LIFE_WORDS[word]);
    const isOver = word === "stopped" || word === "gone";
    if (this.slider) this.slider.inert = isOver;
    for (const lane of this.lanes) lane.setOver(isOver);
  }

  redraw() {
    if (!this.frame && this.isVisible) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const now = performance.now() / 1000;
    this.frame = 0;
    this.drawnAt = now;
    for (const lane of this.lanes) if (lane.layout) lane.draw(now);
    if (this.lanes.some((lane) => lane.motion.isActive)) this.redraw();
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.root.remove();
  }
}

const COMMON = new Set(["sent", "delivered"]);

function render({ model, el }) {
  const view = new FlowView(model, el);
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
    "change:lanes_shown": () => view.build(),
    "change:title": () => setText(view.title, model.get("title")),
    "change:rate": () => view.showRate?.(),
  };
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  keepKeys(view.root);
  const size = new ResizeObserver(() => view.place());
  size.observe(view.root);
  const forgetTheme = onTheme(() => view.recolour());
  const describing = setInterval(() => view.lanes.forEach((lane) => lane.describe()), DESCRIBE_MS);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
    clearInterval(describing);
    forgetTheme();
    size.disconnect();
    life.stop();
    view.stop();
  };
}

export default { render };
