import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./load.mjs";

const { layoutLane, pointAt } = await load("flow_layout.js");
const { Motion, ease, flightSeconds } = await load("flow_motion.js");

const lane = {
  publishers: ["shop"],
  queues: ["billing"],
  subscribers: [
    { name: "billing", filter: "", queue: 0 },
    { name: "audit", filter: "", queue: null },
  ],
};
const layout = layoutLane(lane, 600, 3);
const three = { ...lane, publishers: ["shop", "branch", "web"] };
const wide = layoutLane(three, 600, 3);
const up = { isUp: true, waiting: false };
const seconds = (from, to) => flightSeconds(layout.links.find((one) => one.from === from && one.to === to).curve);

test("easing starts at 0, ends at 1 and never goes back", () => {
  const values = Array.from({ length: 101 }, (_, at) => ease(at / 100));
  assert.equal(values[0], 0);
  assert.equal(values[100], 1);
  values.slice(1).forEach((value, at) => assert.ok(value >= values[at]));
});

test("a sent message flies to the hub, which pulses when it arrives", () => {
  const motion = new Motion();
  motion.add(lane, layout, "sent", 0, 10, up);
  const [dot] = motion.dots(10);
  assert.deepEqual(dot.at, pointAt(layout.links[0].curve, 0));
  motion.advance(10 + seconds("p0", "hub") + 0.001);
  assert.equal(motion.dots(11).length, 0);
  assert.deepEqual(motion.rings(10 + seconds("p0", "hub") + 0.001), [{ node: "hub", spread: 0 }]);
});

test("a message to a broker that is down never arrives", () => {
  const motion = new Motion();
  motion.add(lane, layout, "sent", 0, 10, { isUp: false, waiting: false });
  for (let now = 10; now < 12; now += 0.02) {
    motion.advance(now);
    assert.deepEqual(motion.rings(now), []);
    for (const dot of motion.dots(now)) assert.ok(dot.at[0] < layout.hub.x - layout.hub.r);
  }
  assert.equal(motion.isActive, false);
});

test("a delivery leaves the hub when the message has reached it, and passes the queue", () => {
  const motion = new Motion();
  motion.add(lane, layout, "delivered", 0, 10, up);
  assert.equal(motion.dots(10 + seconds("p0", "hub") - 0.01).length, 0);
  const pulsed = [];
  for (let now = 10; now < 14; now += 0.01) {
    motion.advance(now);
    motion.rings(now).filter((ring) => ring.spread === 0).forEach((ring) => pulsed.push(ring.node));
  }
  assert.deepEqual(pulsed, ["q0", "s0"]);
});

test("what waited in a queue starts from there", () => {
  const motion = new Motion();
  motion.add(lane, layout, "delivered", 0, 10, { isUp: true, waiting: true });
  assert.deepEqual(motion.dots(10)[0].at, [layout.queues[0].x + layout.queues[0].w, layout.queues[0].y + 12]);
});

test("refused and unheard messages fall as crosses, one before the hub and one from it", () => {
  const motion = new Motion();
  motion.add(lane, layout, "refused", 0, 10, up);
  motion.add(lane, layout, "unheard", 0, 10, up);
  const [refused] = motion.crosses(10);
  assert.ok(refused.x < layout.hub.x - layout.hub.r);
  const [, unheard] = motion.crosses(10 + seconds("p0", "hub"));
  assert.equal(unheard.x, layout.hub.x);
  const later = motion.crosses(10.8)[0];
  assert.ok(later.y > refused.y && later.alpha < refused.alpha);
});

test("a message in doubt becomes a question mark where a refused one falls, and rises", () => {
  const motion = new Motion();
  motion.add(lane, layout, "refused", 0, 10, up);
  motion.add(lane, layout, "in doubt", 0, 10, up);
  const [cross] = motion.crosses(10);
  const [question] = motion.questions(10);
  assert.deepEqual([question.x, question.y], [cross.x, cross.y]);
  const [later] = motion.questions(10.8);
  assert.ok(later.y < question.y && later.alpha < question.alpha);
  assert.equal(motion.crosses(10.8).length, 1);
});

test("a flood of failures is thinned, and leaves each kind its marks", () => {
  const motion = new Motion();
  for (let at = 0; at < 100; at++) {
    for (const node of [0, 1, 2]) motion.add(three, wide, "refused", node, 10 + at * 0.06, up);
    motion.add(three, wide, "in doubt", 0, 10 + at * 0.06, up);
  }
  assert.ok(motion.crosses(20).length <= 20);
  assert.ok(motion.questions(20).length > 0 && motion.questions(20).length <= 20);
});

test("a message that is delivered again is marked", () => {
  const motion = new Motion();
  motion.add(lane, layout, "redelivered", 1, 10, up);
  assert.equal(motion.dots(10 + seconds("p0", "hub") + 0.1)[0].isAgain, true);
});

test("dots keep a distance however many there are", () => {
  const motion = new Motion();
  const drawn = Array.from({ length: 1000 }, (_, at) => motion.add(lane, layout, "sent", 0, 10 + at / 1000, up));
  assert.ok(drawn.filter(Boolean).length <= 15);
  assert.ok(drawn[0]);
});

test("the same events always move the same way", () => {
  const play = () => {
    const motion = new Motion();
    for (let at = 0; at < 30; at++) motion.add(lane, layout, ["sent", "refused", "in doubt"][at % 3], 0, 10 + at / 10, up);
    return JSON.stringify([motion.crosses(11), motion.questions(11), motion.dots(11)]);
  };
  assert.equal(play(), play());
});

test("all that moves comes to rest", () => {
  const motion = new Motion();
  ["sent", "delivered", "redelivered", "refused", "in doubt", "unheard"].forEach((kind) => motion.add(lane, layout, kind, 0, 10, up));
  motion.addWaiting(layout, 0, 3, 10, 0.5);
  assert.equal(motion.isActive, true);
  for (let now = 10; now < 15; now += 0.05) motion.advance(now);
  assert.equal(motion.isActive, false);
});
