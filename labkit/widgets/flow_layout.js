// Where everything of a lane stands. Pure maths in CSS pixels, no page needed.
// flow_snapshot.py draws the saved picture with the same numbers; a test compares the two.

/** @typedef {{x: number, y: number, w: number, h: number}} Box */
/** @typedef {number[]} Curve  four points of a cubic Bezier: x0, y0, x1, y1, x2, y2, x3, y3 */
/** @typedef {{curve: Curve, from: string, to: string}} Link */

const TWO_COLUMNS = 860;
const COMPACT = 420;
const ROOMY = 640;
const LEAST_ROWS = 3;
const PITCH = 58;
const SIZES = { pad: 14, publisher: [110, 52], subscriber: [140, 46], queue: [48, 24], hub: 29 };
const ROOMY_SIZES = { ...SIZES, publisher: [128, 52], subscriber: [190, 46], queue: [58, 24] };
const COMPACT_SIZES = { pad: 9, publisher: [86, 52], subscriber: [112, 46], queue: [30, 24], hub: 23 };

/** How many lanes stand side by side. */
export function columnsFor(width, lanes) {
  return lanes > 1 && width >= TWO_COLUMNS ? 2 : 1;
}

/** How many rows every lane gets, so that neighbours are equally high. */
export function rowsFor(lanes) {
  return Math.max(LEAST_ROWS, ...lanes.map((lane) => Math.max(lane.subscribers.length, lane.publishers.length)));
}

/** Where the nodes of a lane stand in a stage of this width, and the links between them. */
export function layoutLane(lane, width, rows) {
  const size = sizesFor(width);
  const height = rows * PITCH + 16;
  const middle = height / 2;
  const right = width - size.pad - size.subscriber[0];
  const columns = middleColumns(lane, size.pad + size.publisher[0], right, size);
  const hub = { x: columns.hub, y: middle, r: size.hub };

  const publishers = spread(lane.publishers.length, middle).map((y) => box(size.pad, y, size.publisher));
  const subscribers = spread(lane.subscribers.length, middle).map((y) => box(right, y, size.subscriber));
  const queues = lane.queues.map((_, at) => box(columns.queue, queueHeight(lane, subscribers, at), size.queue));
  const stage = { width, height, hub, publishers, queues, subscribers, isCompact: width < COMPACT, isRoomy: width >= ROOMY };
  return { ...stage, links: linksOf(lane, stage) };
}

function sizesFor(width) {
  if (width < COMPACT) return COMPACT_SIZES;
  return width < ROOMY ? SIZES : ROOMY_SIZES;
}

/** Hub and queues between publishers and subscribers, with equal gaps. */
function middleColumns(lane, left, right, size) {
  const wide = lane.queues.length ? [2 * size.hub, size.queue[0]] : [2 * size.hub];
  const gap = (right - left - wide.reduce((sum, one) => sum + one)) / (wide.length + 1);
  return { hub: left + gap + size.hub, queue: left + 2 * gap + 2 * size.hub };
}

/** Centres of so many rows around a middle. */
function spread(count, middle) {
  return Array.from({ length: count }, (_, index) => middle + (index - (count - 1) / 2) * PITCH);
}

/** @returns {Box} */
function box(x, middle, [w, h]) {
  return { x, y: middle - h / 2, w, h };
}

/** A queue stands at the mean height of those who share it. */
function queueHeight(lane, subscribers, index) {
  const mine = subscribers.filter((_, at) => lane.subscribers[at].queue === index);
  return mine.reduce((sum, one) => sum + one.y + one.h / 2, 0) / mine.length;
}

/** @returns {Link[]} */
function linksOf(lane, { hub, publishers, queues, subscribers }) {
  const links = publishers.map((one, index) => link(`p${index}`, rightOf(one), "hub", [hub.x - hub.r, hub.y]));
  const out = [hub.x + hub.r, hub.y];
  queues.forEach((one, index) => links.push(link("hub", out, `q${index}`, leftOf(one))));
  subscribers.forEach((one, index) => {
    const queue = lane.subscribers[index].queue;
    const [from, start] = queue === null ? ["hub", out] : [`q${queue}`, rightOf(queues[queue])];
    links.push(link(from, start, `s${index}`, leftOf(one)));
  });
  return links;
}

const rightOf = ({ x, y, w, h }) => [x + w, y + h / 2];
const leftOf = ({ x, y, h }) => [x, y + h / 2];

/** A link leaves and arrives level, and bends between. */
function link(from, [x0, y0], to, [x3, y3]) {
  const bend = (x3 - x0) * 0.5;
  return { from, to, curve: [x0, y0, x0 + bend, y0, x3 - bend, y3, x3, y3] };
}

/** The point of a curve at t from 0 to 1. */
export function pointAt([x0, y0, x1, y1, x2, y2, x3, y3], t) {
  const s = 1 - t;
  const a = s * s * s;
  const b = 3 * s * s * t;
  const c = 3 * s * t * t;
  const d = t * t * t;
  return [a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3];
}

/** The links a delivery takes from the hub to a subscriber: one, or two with a queue between. */
export function wayTo(lane, layout, subscriber) {
  const last = layout.links.find((one) => one.to === `s${subscriber}`);
  if (last.from === "hub") return [last];
  return [layout.links.find((one) => one.to === last.from), last];
}
