// What moves: dots on links, crosses that fall, pulses where something arrives. Pure: time comes in, shapes go out.

import { pointAt, wayTo } from "./flow_layout.js";

const MOST_DOTS = 400;
const PULSE_SECONDS = 0.5;
const FALL_SECONDS = 0.9;
const FALL_PIXELS = 34;
const TRAIL = 0.16;
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
    this.pulses = [];
  }

  get isActive() {
    return this.flights.length + this.falls.length + this.pulses.length > 0;
  }

  clear() {
    this.flights = [];
    this.falls = [];
    this.pulses = [];
  }

  /** Draw one sampled message, as kind says; `start` in seconds; `isUp` whether the broker answers. */
  add(lane, layout, kind, node, start, { isUp, waiting }) {
    if (this.flights.length >= MOST_DOTS) return;
    const inward = layout.links.find((one) => one.from === `p${kind in TO_HUB ? node : 0}`);
    const arrives = start + (inward ? flightSeconds(inward.curve) : 0);
    if (kind === "sent") this.fly(inward, start, { stopsAt: isUp ? 1 : STOPS_AT });
    else if (kind === "refused") this.fall(pointAt(inward.curve, STOPS_AT), start);
    else if (kind === "unheard") this.fall([layout.hub.x, layout.hub.y + layout.hub.r], arrives);
    else if (kind === "delivered" || kind === "redelivered") {
      const way = wayTo(lane, layout, node);
      this.follow(waiting ? way.slice(-1) : way, waiting ? start : arrives, kind === "redelivered");
    }
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
    const drift = ((this.falls.length * 7) % 13) - 6;
    this.falls.push({ x, y, drift, start });
  }

  /** Move on to `now`: drop what is over, and let what arrived pulse. */
  advance(now) {
    const [over, going] = split(this.flights, (one) => now >= one.start + one.seconds * one.stopsAt);
    this.flights = going;
    const arrived = new Set(over.filter((one) => one.stopsAt === 1).map((one) => one.link.to));
    this.pulses = this.pulses.filter((one) => now < one.start + PULSE_SECONDS && !arrived.has(one.node));
    for (const node of arrived) this.pulses.push({ node, start: now });
    this.falls = this.falls.filter((one) => now < one.start + FALL_SECONDS);
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
        const x = one.x + one.drift * t;
        return { x, y: one.y + FALL_PIXELS * t * t, turn: one.drift * 0.12 * t, alpha: 1 - t * t };
      });
  }

  /** @returns pulses to draw: a node, how far it has spread from 0 to 1. */
  rings(now) {
    return this.pulses.map((one) => ({ node: one.node, spread: (now - one.start) / PULSE_SECONDS }));
  }
}

const TO_HUB = { sent: true, refused: true, unheard: true };

function split(list, isFirst) {
  const first = [];
  const second = [];
  for (const one of list) (isFirst(one) ? first : second).push(one);
  return [first, second];
}

function dotOf({ link, start, seconds, isAgain, stopsAt }, now) {
  const t = (now - start) / seconds;
  const tail = [0.25, 0.5, 0.75, 1].map((part) => pointAt(link.curve, ease(Math.max(0, t - TRAIL * part))));
  const fadesOut = stopsAt < 1 ? Math.max(0, 1 - t / stopsAt) : 1;
  return { at: pointAt(link.curve, ease(t)), tail, isAgain, alpha: Math.min(1, t * 8) * fadesOut };
}
