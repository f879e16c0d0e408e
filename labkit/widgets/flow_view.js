// The picture itself: lanes of brokers, real messages as dots, true totals. It is told batches, by a kernel or by
// a recording, and takes the time from whoever tells them.

import { LaneView } from "./flow_lane.js";
import { columnsFor, rowsFor } from "./flow_layout.js";
import { DotRatio, PUBLISHER, STATE_WORDS, dotWords, sumOf } from "./flow_numbers.js";
import { keepKeys, make, onTheme, setText } from "./liveness.js";

const BATCH_SECONDS = 0.05;
const DESCRIBE_MS = 1000;
const LONGEST_FRAME = 1;
const COMMON = new Set(["sent", "delivered"]);

/** The page's own time, which never stands still. */
const PAGE_TIME = { now: () => performance.now() / 1000, isRunning: () => true };

/**
 * Lanes and what moves in them. `act(type, broker)` is called when a lane's button is pressed, `fitted()` when all
 * was put into another width, and nothing moves any more.
 */
export class FlowView {
  constructor(el, { title, lanes, can = [], act = () => {}, time = PAGE_TIME, fitted = () => {} }) {
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.can = can;
    this.act = act;
    this.time = time;
    this.fitted = fitted;
    this.ratio = new DotRatio();
    this.total = null;
    this.frame = 0;
    this.drawnAt = 0;
    this.isVisible = true;
    this.root = make("div", "labkit lk-flow");
    this.bar = make("div", "lk-bar");
    this.title = make("span", "lk-title", title);
    this.bar.append(this.title);
    this.grid = make("div", "lk-grid");
    this.news = make("p", "lk-unseen");
    this.news.setAttribute("aria-live", "polite");
    this.root.append(this.bar, this.grid, this.makeLegend(), this.news);
    el.append(this.root);
    this.build(lanes);
    this.watchPage();
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

  /** Follow the page's width and theme, and say from time to time in words what is shown. */
  watchPage() {
    keepKeys(this.root);
    this.size = new ResizeObserver(() => {
      this.place();
      this.fitted();
    });
    this.size.observe(this.root);
    this.forgetTheme = onTheme(() => this.recolour());
    this.describing = setInterval(() => this.describe(), DESCRIBE_MS);
  }

  /** Make the lanes anew: at first, and when others are declared. */
  build(lanes) {
    const moves = () => this.moves();
    this.declared = lanes;
    this.lanes = lanes.map((lane) => new LaneView(lane, { can: this.can, act: this.act, moves }));
    this.rows = rowsFor(lanes);
    this.grid.replaceChildren(...this.lanes.map((lane) => lane.root));
    this.place();
  }

  /** Forget every number and all that moves, before another moment is shown. */
  reset() {
    this.ratio = new DotRatio();
    this.total = null;
    for (const lane of this.lanes) lane.reset();
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

  describe() {
    for (const lane of this.lanes) lane.describe();
  }

  /** Whether dots are drawn: somebody sees them, wants them, and there are places for them. */
  moves() {
    return this.isVisible && !this.calm.matches && this.lanes.every((lane) => lane.layout);
  }

  showBatch(batch) {
    // A batch for other lanes than these: the declaration of the new ones is on its way.
    if (batch.lanes.length !== this.lanes.length) return;
    const now = this.time.now();
    for (const [broker, state] of batch.changes) this.announce(broker, state, now);
    this.lanes.forEach((lane, at) => this.showLane(lane, batch.lanes[at], batch.at, now));
    this.addDots(batch, now);
    if (!batch.dots.length && !this.calm.matches) this.lanes.forEach((lane) => lane.isUp && lane.beat());
    setText(this.dotWords, this.calm.matches ? "dots are off: reduced motion" : dotWords(this.ratio.messages));
    this.redraw();
  }

  showLane(lane, news, at, now) {
    if (news.publishers.length !== lane.publishers.length || news.subscribers.length !== lane.subscribers.length) return;
    lane.show(news, at, now);
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
    const wasFrozen = this.time.isRunning() && this.frame !== 0 && now - this.drawnAt > LONGEST_FRAME;
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

  redraw() {
    if (!this.frame && this.isVisible) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const now = this.time.now();
    this.frame = 0;
    this.drawnAt = now;
    for (const lane of this.lanes) if (lane.layout) lane.draw(now);
    if (this.time.isRunning() && this.lanes.some((lane) => lane.motion.isActive)) this.redraw();
  }

  stop() {
    clearInterval(this.describing);
    this.forgetTheme();
    this.size.disconnect();
    cancelAnimationFrame(this.frame);
    this.root.remove();
  }
}
