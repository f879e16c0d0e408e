// One lane's elements: a head with state, rate and buttons; a stage with nodes above a canvas.

import { drawLane, fitCanvas, readColours } from "./flow_canvas.js";
import { layoutLane } from "./flow_layout.js";
import { Motion } from "./flow_motion.js";
import { PUBLISHER, RateMeter, STATE_WORDS, TITLES, formatCount, confirmWords, formatRate, formatSeconds, laneSentence, sumOf } from "./flow_numbers.js";
import { make, setText } from "./liveness.js";

const SLOTS = 5;
const DEPTH_SECONDS = 0.5;
const MOST_WAITING_DOTS = 6;
const READY_SECONDS = 6;
const BIG = 1_000;
const HALF_STATE = 29; // half of what the hub's state is wide: the words below a publisher end before it
const SVG = "http://www.w3.org/2000/svg";

// What a hub does with a message, on a field of 24 by 24: pass it on, choose its way, or append it to a log.
const GLYPHS = {
  pass: "M12 12h.01M8.2 15.8a5.4 5.4 0 0 1 0-7.6M15.8 8.2a5.4 5.4 0 0 1 0 7.6M5.4 18.6a9.4 9.4 0 0 1 0-13.2M18.6 5.4a9.4 9.4 0 0 1 0 13.2",
  route: "M3 12h6M9 12c4 0 4-6 8-6h4M9 12h12M9 12c4 0 4 6 8 6h4",
  keep: "M3 8h18v8H3zM7.5 8v8M12 8v8M16.5 8v8",
};

/** Which glyph fits a kind of channel. */
export function glyphOf(kind) {
  if (kind.endsWith("exchange")) return "route";
  return kind === "topic" || kind === "stream" ? "keep" : "pass";
}

/** The elements and the motion of one lane. */
export class LaneView {
  constructor(lane, { can, act, moves }) {
    this.lane = lane;
    this.moves = moves;
    this.root = make("section", "lk-lane");
    this.reset();
    this.root.dataset.broker = lane.broker;
    this.isCrowded = lane.publishers.length > 1;
    this.root.classList.toggle("lk-crowded", this.isCrowded);
    this.title = TITLES[lane.broker] ?? lane.broker;
    this.root.setAttribute("aria-label", this.title);
    this.root.append(this.makeHead(can, act), this.makeStage());
  }

  /** Forget what was shown: what is told next may be an earlier moment. */
  reset() {
    this.motion = new Motion();
    this.rates = { in: new RateMeter(), out: new RateMeter() };
    this.news = null;
    this.readyUntil = 0;
    delete this.root.dataset.state;
  }

  makeHead(can, act) {
    const head = make("div", "lk-head");
    this.mark = make("span", "lk-mark");
    this.state = make("span", "lk-state");
    this.rate = make("span", "lk-rate");
    this.buttons = {};
    const buttons = (this.buttonBar = make("span", "lk-buttons"));
    for (const [name, label] of [["kill", "Kill"], ["restart", "Restart"]]) {
      if (!can.includes(name)) continue;
      const button = make("button", `lk-button lk-${name}`, label);
      button.type = "button";
      button.setAttribute("aria-label", `${label} ${this.title}`);
      button.addEventListener("click", () => act(name, this.lane.broker));
      buttons.append((this.buttons[name] = button));
    }
    head.append(this.mark, make("h4", "lk-name", this.title), this.state, this.rate, buttons);
    return head;
  }

  makeStage() {
    this.stage = make("div", "lk-stage");
    this.stage.setAttribute("role", "img");
    this.canvas = make("canvas", "lk-canvas");
    const { lane } = this;
    this.publishers = lane.publishers.map((name) => this.makePublisher(name));
    this.queues = lane.queues.map((name) => this.makeQueue(name));
    this.subscribers = lane.subscribers.map((one) => this.makeSubscriber(one));
    this.hub = this.makeHub();
    const nodes = [...this.publishers, this.hub, ...this.queues, ...this.subscribers];
    this.stage.append(this.canvas, ...nodes.map((node) => node.root));
    return this.stage;
  }

  makePublisher(name) {
    const root = make("div", "lk-node lk-publisher");
    const node = { root, sent: make("span", "lk-count", "0"), confirmed: make("span", "lk-small") };
    Object.assign(node, { failed: make("span", "lk-failed"), refused: make("span", "lk-lost"), inDoubt: make("span", "lk-doubt") });
    const line = make("span", "lk-line");
    line.append(node.sent, make("span", "lk-unit", " sent"));
    node.failed.append(node.refused, node.inDoubt);
    root.append(make("span", "lk-label", name), line, node.confirmed, node.failed);
    return node;
  }

  makeHub() {
    const root = make("div", "lk-hub");
    const node = { root, disc: make("div", "lk-disc"), state: make("span", "lk-hubstate"), lost: make("span", "lk-lost") };
    const words = make("div", "lk-hubwords");
    words.append(make("span", "lk-kind", this.lane.kind), make("span", "lk-address", this.lane.name));
    node.disc.append(glyph(GLYPHS[glyphOf(this.lane.kind)]));
    root.append(words, node.disc, node.state, node.lost);
    return node;
  }

  makeQueue(name) {
    const root = make("div", "lk-queue");
    root.title = `queue ${name}`;
    const slots = Array.from({ length: SLOTS }, () => make("span", "lk-slot"));
    const depth = make("span", "lk-depth");
    root.append(...slots, depth);
    return { root, slots, depth };
  }

  makeSubscriber({ name, filter }) {
    const root = make("div", "lk-node lk-subscriber");
    const words = make("span", "lk-words");
    root.title = filter ? `${name}: ${filter}` : name;
    const numbers = make("span", "lk-numbers");
    const node = { root, filter: make("span", "lk-filter", filter), count: make("span", "lk-count", "0"), again: make("span", "lk-again") };
    words.append(make("span", "lk-label", name), node.filter);
    numbers.append(node.count, node.again);
    root.append(words, numbers);
    return node;
  }

  listens(subscriber) {
    return this.news?.listening[subscriber] !== false;
  }

  get isUp() {
    return this.news === null || this.news.state === "running";
  }

  /** Put everything in its place for a stage of this width. */
  place(width, rows) {
    const layout = layoutLane(this.lane, width, rows);
    this.layout = layout;
    this.motion.clear();
    this.root.classList.toggle("lk-compact", layout.isCompact);
    this.stage.style.height = `${layout.height}px`;
    fitCanvas(this.canvas, width, layout.height);
    const put = (node, box) => Object.assign(node.root.style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.w}px`, height: `${box.h}px` });
    this.publishers.forEach((node, at) => put(node, layout.publishers[at]));
    this.queues.forEach((node, at) => put(node, layout.queues[at]));
    this.subscribers.forEach((node, at) => put(node, layout.subscribers[at]));
    const { x, y, r } = layout.hub;
    put(this.hub, { x: x - r, y: y - r, w: 2 * r, h: 2 * r });
    const room = (box) => (this.isCrowded ? "" : `${x - HALF_STATE - box.x}px`);
    this.publishers.forEach((node, at) => (node.failed.style.width = room(layout.publishers[at])));
    if (this.news) this.subscribers.forEach((node, at) => this.showSubscriber(node, this.news.subscribers[at], at));
    this.recolour();
  }

  /** Read the colours of the theme again. */
  recolour() {
    this.colours = readColours(this.root);
  }

  /** Show what a batch tells about this lane; `at` is the kernel's clock in seconds, `now` the picture's. */
  show(news, at, now) {
    const before = this.news;
    this.news = news;
    // What is in doubt may have come in, but mostly it is in doubt because the broker is down.
    const { sent, refused, inDoubt } = PUBLISHER;
    this.rates.in.add(at, sumOf(news.publishers, [sent]) - sumOf(news.publishers, [refused, inDoubt]));
    this.rates.out.add(at, sumOf(news.subscribers, [0, 1]));
    this.showRates();
    this.publishers.forEach((node, index) => this.showPublisher(node, news.publishers[index]));
    this.subscribers.forEach((node, index) => this.showSubscriber(node, news.subscribers[index], index));
    this.queues.forEach((node, index) => this.showQueue(node, news.depths[index]));
    const unheard = sumOf(news.publishers, [PUBLISHER.unheard]);
    setText(this.hub.lost, unheard ? `✕ ${formatCount(unheard)} unheard` : "");
    if (before) this.drawWaiting(before, news, now);
  }

  showRates() {
    setText(this.rate, `${formatRate(this.rates.in.rate)} in · ${formatRate(this.rates.out.rate)} out msg/s`);
  }

  showPublisher(node, [sent, confirmed, refused, inDoubt]) {
    setText(node.sent, formatCount(sent));
    setText(node.confirmed, confirmWords(this.lane.confirms, sent, confirmed));
    const words = this.isCrowded ? ["", ""] : [" refused", " in doubt"];
    setText(node.refused, refused ? `✕ ${formatCount(refused)}${words[0]}` : "");
    setText(node.inDoubt, inDoubt ? `? ${formatCount(inDoubt)}${words[1]}` : "");
  }

  showSubscriber(node, [delivered, redelivered], index) {
    setText(node.count, formatCount(delivered + redelivered));
    setText(node.again, redelivered ? `◎ ${formatCount(redelivered)}` : "");
    const words = this.listens(index) ? this.lane.subscribers[index].filter : "not listening";
    setText(node.filter, words);
    node.root.classList.toggle("lk-away", !this.listens(index));
    const isLong = words !== "" || delivered + redelivered >= BIG;
    node.root.classList.toggle("lk-stacked", isLong && !this.layout?.isRoomy);
  }

  showQueue(node, depth) {
    setText(node.depth, depth === null ? "?" : formatCount(depth));
    node.root.classList.toggle("lk-waiting", depth > 0);
    node.slots.forEach((slot, at) => slot.classList.toggle("lk-full", at >= SLOTS - (depth ?? 0)));
  }

  drawWaiting(before, news, now) {
    news.depths.forEach((depth, queue) => {
      const grown = Math.min(MOST_WAITING_DOTS, (depth ?? 0) - (before.depths[queue] ?? 0));
      if (grown > 0 && this.moves()) this.motion.addWaiting(this.layout, queue, grown, now, DEPTH_SECONDS);
    });
  }

  /** Let a sampled message move; `start` on the page's clock in seconds. @returns whether it is drawn. */
  addDot(kind, node, start) {
    const queue = this.lane.subscribers[node]?.queue ?? null;
    const waiting = queue !== null && this.news.depths[queue] > 0;
    return this.motion.add(this.lane, this.layout, kind, node, start, { isUp: this.isUp, waiting });
  }

  /** Show how the broker is. @returns whether that is another state than before. */
  showState(state, readyIn, now) {
    const isNew = this.root.dataset.state !== state;
    if (isNew && state === "running" && this.root.dataset.state) this.readyUntil = now + READY_SECONDS;
    const isFresh = state === "running" && now < this.readyUntil && readyIn !== null;
    setText(this.state, isFresh ? `ready in ${formatSeconds(readyIn)}` : STATE_WORDS[state]);
    if (!isNew) return false;
    this.root.dataset.state = state;
    setText(this.hub.state, state === "running" ? "" : STATE_WORDS[state]);
    if (this.buttons.kill) this.buttons.kill.disabled = state === "dead" || state === "stopped";
    if (this.buttons.restart) this.buttons.restart.disabled = state === "starting";
    return true;
  }

  /** Nobody acts on a click any more, and nothing flows; or somebody does again. */
  setOver(isOver) {
    this.buttonBar.inert = isOver;
    this.rate.style.visibility = isOver ? "hidden" : "visible";
  }

  /** A soft sign of life while nothing else moves. */
  beat() {
    this.hub.disc.classList.toggle("lk-beat-a");
    this.hub.disc.classList.toggle("lk-beat-b", !this.hub.disc.classList.contains("lk-beat-a"));
  }

  /** Say in words what the picture shows. */
  describe() {
    if (this.news) this.stage.setAttribute("aria-label", laneSentence(this.lane, this.news));
  }

  draw(now) {
    this.motion.advance(now);
    const isLive = (node) => this.isUp && (node[0] !== "s" || this.listens(Number(node.slice(1))));
    drawLane(this.canvas, { layout: this.layout, colours: this.colours, isLive, motion: this.motion, now });
  }
}

/** A drawing on a field of 24 by 24. */
export function glyph(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}
