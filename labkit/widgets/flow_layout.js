// Where everything of a lane stands. Pure maths in CSS pixels, no page needed.
// flow_snapshot.py draws the saved picture with the same numbers; a test compares the two.

/** @typedef {{x: number, y: number, w: number, h: number}} Box */
/** @typedef {number[]} Curve  four points of a cubic Bezier: x0, y0, x1, y1, x2, y2, x3, y3 */
/** @typedef {{curve: Curve, from: string, to: string}} Link */

export const SIZE = {
  pad: 16,
  pitch: 58,
  least: 3,
  publisher: [104, 62],
  subscriber: [148, 46],
  queue: [58, 24],
  hub: 29,
  twoColumns: 860,
};

/** How many lanes stand side by side. */
export function columnsFor(width, lanes) {
  return lanes > 1 && width >= SIZE.twoColumns ? 2 : 1;
}

/** How many rows every lane gets, so that neighbours are equally high. */
export function rowsFor(lanes) {
  return Math.max(SIZE.least, ...lanes.map((lane) => Math.max(lane.subscribers.length, lane.publishers.length)));
}

/** Where the nodes of a lane stand in a stage of this width, and the links between them. */
export function layoutLane(lane, width, rows) {
  const height = rows * SIZE.pitch + SIZE.pad;
  const middle = height / 2;
  const left = SIZE.pad + SIZE.publisher[0];
  const right = width - SIZE.pad - SIZE.subscriber[0];
  const hasQueues = lane.queues.length > 0;
  const hub = { x: left + (right - left) * (hasQueues ? 0.36 : 0.5), y: middle, r: SIZE.hub };
  const queueX = left + (right - left) * 0.8 - SIZE.queue[0] / 2;

  const publishers = spread(lane.publishers.length, middle).map((y) => box(SIZE.pad, y, SIZE.publisher));
  const subscribers = spread(lane.subscribers.length, middle).map((y) => box(right, y, SIZE.subscriber));
  const queues = lane.queues.map((_, index) => box(queueX, queueHeight(lane, subscribers, index), SIZE.queue));
  const stage = { width, height, hub, publishers, queues, subscribers };
  return { ...stage, links: linksOf(lane, stage) };
}

/** Centres of so many rows around a middle. */
function spread(count, middle) {
  return Array.from({ length: count }, (_, index) => middle + (index - (count - 1) / 2) * SIZE.pitch);
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
