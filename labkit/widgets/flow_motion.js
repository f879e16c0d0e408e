// What moves: dots on links, crosses that fall, question marks that rise, pulses where something arrives. Pure: time comes in, shapes go out.

import { pointAt, wayTo } from "./flow_layout.js";

const MOST_DOTS = 400;
const MOST_CROSSES = 20;
const MOST_DOUBTS = 20;
const GAP_SECONDS = { sent: 0.07, delivered: 0.07, redelivered: 0.12, refused: 0.06, "in doubt": 0.06, unheard: 0.06 };
const PULSE_SECONDS = 0.5;
const FALL_SECONDS = 0.9;
const FALL_WIDTH = 56;
const RISE_SECONDS = 1.3;
const RISE_HEIGHT = 26;
const TRAIL = 0.22;
const TRAIL_POINTS = 6;
const STOPS_AT = 0.6;

/** Slow, fast, slow. */
export function ease(t) {
  return t < 0.5 ? 2 * t * t : 1 - (2 - 2 * t) * (1 - t);
}

/** Seconds a dot takes along a curve: longer ways take longer, but not in proportion. */
export function flightSeconds([x0, , , , , , x3]) {
  return Math.min(0.85, 0.42 + Math.abs(x3 - x0) / 900);
}

/** Everything that moves in one lane. */
export class Motion {
  constructor() {
    this.flights = [];
    this.falls = [];
    this.doubts = [];
    this.pulses = [];
    this.spread = 0;
    this.last = new Map();
  }

  get isActive() {
    return this.flights.length + this.falls.length + this.doubts.length + this.pulses.length > 0;
  }

  clear() {
    this.flights = [];
    this.falls = [];
    this.doubts = [];
    this.pulses = [];
  }

  /**
   * Draw one sampled message, as kind says; `start` in seconds; `isUp` whether the broker answers; `waiting`
   * whether it comes out of a queue. @returns whether it is drawn: dots keep a distance, so that they stay dots.
   */
  add(lane, layout, kind, node, start, { isUp, waiting }) {
    if (this.flights.length >= MOST_DOTS || !this.hasRoom(kind, node, start)) return false;
    const inward = layout.links.find((one) => one.from === `p${kind in TO_HUB ? node : 0}`);
    const arrives = start + (inward ? flightSeconds(inward.curve) : 0);
    if (kind === "sent") this.fly(inward, start, { stopsAt: isUp ? 1 : STOPS_AT });
    else if (kind === "refused") this.fall(pointAt(inward.curve, STOPS_AT), start);
    else if (kind === "in doubt") this.rise(pointAt(inward.curve, STOPS_AT), start);
    else if (kind === "unheard") this.fall([layout.hub.x, layout.hub.y + layout.hub.r], arrives);
    else if (kind === "delivered" || kind === "redelivered") {
      const way = wayTo(lane, layout, node);
      this.follow(waiting ? way.slice(-1) : way, waiting ? start : arrives, kind === "redelivered");
    }
    return true;
  }

  hasRoom(kind, node, start) {
    const key = `${kind}${node}`;
    if (start < (this.last.get(key) ?? -Infinity) + GAP_SECONDS[kind]) return false;
    this.last.set(key, start);
    return true;
  }

  /** Messages that came into a queue and stayed there. */
  addWaiting(layout, queue, count, start, seconds) {
    const way = layout.links.find((one) => one.to === `q${queue}`);
    for (let index = 0; index < count; index++) this.fly(way, start + (index * seconds) / count, {});
  }

  follow(way, start, isAgain) {
    let at = start;
    for (const link of way) {
      this.fly(link, at, { isAgain });
      at += flightSeconds(link.curve);
    }
  }

  fly(link, start, { isAgain = false, stopsAt = 1 }) {
    this.flights.push({ link, start, seconds: flightSeconds(link.curve), isAgain, stopsAt });
  }

  fall([x, y], start) {
    if (this.falls.length < MOST_CROSSES) this.falls.push({ x, y, drift: this.drift(), start });
  }

  rise([x, y], start) {
    if (this.doubts.length < MOST_DOUBTS) this.doubts.push({ x, y, drift: this.drift(), start });
  }

  /** Multiples of the golden ratio spread evenly without a pattern, and the same way each time. */
  drift() {
    this.spread = (this.spread + 0.618034) % 1;
    return (this.spread - 0.5) * FALL_WIDTH;
  }

  /** Move on to `now`: drop what is over, and let what arrived pulse. */
  advance(now) {
    const [over, going] = split(this.flights, (one) => now >= one.start + one.seconds * one.stopsAt);
    this.flights = going;
    const arrived = new Set(over.filter((one) => one.stopsAt === 1).map((one) => one.link.to));
    this.pulses = this.pulses.filter((one) => now < one.start + PULSE_SECONDS && !arrived.has(one.node));
    for (const node of arrived) this.pulses.push({ node, start: now });
    this.falls = this.falls.filter((one) => now < one.start + FALL_SECONDS);
    this.doubts = this.doubts.filter((one) => now < one.start + RISE_SECONDS);
  }

  /** @returns dots to draw: a place, a tail of places behind it, how solid it is. */
  dots(now) {
    return this.flights.filter((one) => now >= one.start).map((one) => dotOf(one, now));
  }

  /** @returns crosses to draw: a place, a turn in radians, how solid it is. */
  crosses(now) {
    return this.falls
      .filter((one) => now >= one.start)
      .map((one) => {
        const t = (now - one.start) / FALL_SECONDS;
        const y = one.y - 34 * t + 84 * t * t; // a small hop first: it was turned away
        return { x: one.x + one.drift * t, y, turn: one.drift * 0.06 * t, alpha: 1 - t * t };
      });
  }

  /** @returns question marks to draw: a place, how solid it is. They stay upright, and nothing throws them down. */
  questions(now) {
    return this.doubts
      .filter((one) => now >= one.start)
      .map((one) => {
        const t = (now - one.start) / RISE_SECONDS;
        return { x: one.x + one.drift * t, y: one.y - RISE_HEIGHT * t * (2 - t), alpha: 1 - t * t };
      });
  }

  /** @returns pulses to draw: a node, how far it has spread from 0 to 1. */
  rings(now) {
    return this.pulses.map((one) => ({ node: one.node, spread: (now - one.start) / PULSE_SECONDS }));
  }
}

const TO_HUB = { sent: true, refused: true, "in doubt": true, unheard: true };

function split(list, isFirst) {
  const first = [];
  const second = [];
  for (const one of list) (isFirst(one) ? first : second).push(one);
  return [first, second];
}

function dotOf({ link, start, seconds, isAgain, stopsAt }, now) {
  const t = (now - start) / seconds;
  const tail = Array.from({ length: TRAIL_POINTS }, (_, at) =>
    pointAt(link.curve, ease(Math.max(0, t - (TRAIL * (at + 1)) / TRAIL_POINTS))),
  );
  const fadesOut = stopsAt < 1 ? Math.max(0, 1 - t / stopsAt) : 1;
  return { at: pointAt(link.curve, ease(t)), tail, isAgain, alpha: Math.min(1, t * 8) * fadesOut };
}
