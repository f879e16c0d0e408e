import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { load } from "./load.mjs";

const { columnsFor, layoutLane, pointAt, rowsFor, wayTo } = await load("flow_layout.js");

const subscriber = (name, queue = null) => ({ name, filter: "", queue });
const plain = { publishers: ["shop"], queues: [], subscribers: ["a", "b", "c"].map((name) => subscriber(name)) };
const queued = { publishers: ["shop"], queues: ["a", "b"], subscribers: [subscriber("a", 0), subscriber("b", 1)] };
const shared = { publishers: ["shop"], queues: ["work"], subscribers: [subscriber("a", 0), subscriber("b", 0)] };

const boxes = (layout) => [
  ...layout.publishers,
  { x: layout.hub.x - layout.hub.r, y: layout.hub.y - layout.hub.r, w: 2 * layout.hub.r, h: 2 * layout.hub.r },
  ...layout.queues,
  ...layout.subscribers,
];
const overlap = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

for (const width of [300, 350, 425, 600, 1000]) {
  for (const [name, lane] of Object.entries({ plain, queued, shared })) {
    test(`nodes of a ${name} lane ${width} wide stay inside and apart`, () => {
      const layout = layoutLane(lane, width, rowsFor([lane]));
      const all = boxes(layout);
      for (const one of all) {
        assert.ok(one.x >= 0 && one.x + one.w <= width && one.y >= 0 && one.y + one.h <= layout.height);
      }
      all.forEach((one, at) => all.slice(at + 1).forEach((other) => assert.ok(!overlap(one, other))));
    });
  }
}

test("two lanes stand side by side only where there is room", () => {
  assert.equal(columnsFor(1200, 4), 2);
  assert.equal(columnsFor(700, 4), 1);
  assert.equal(columnsFor(1200, 1), 1);
});

test("lanes are as high as the one with most subscribers", () => {
  const many = { ...plain, subscribers: Array.from({ length: 5 }, (_, at) => subscriber(`s${at}`)) };
  assert.equal(rowsFor([plain, many]), 5);
  assert.equal(layoutLane(plain, 500, 5).height, layoutLane(many, 500, 5).height);
});

test("every link begins at the edge of one node and ends at the edge of the next", () => {
  const layout = layoutLane(queued, 600, 3);
  assert.deepEqual(
    layout.links.map(({ from, to }) => `${from}>${to}`),
    ["p0>hub", "hub>q0", "hub>q1", "q0>s0", "q1>s1"],
  );
  const [x, y] = pointAt(layout.links[0].curve, 0);
  assert.deepEqual([x, y], [layout.publishers[0].x + layout.publishers[0].w, layout.hub.y]);
  assert.deepEqual(pointAt(layout.links[4].curve, 1), [layout.subscribers[1].x, layout.subscribers[1].y + 23]);
});

test("a delivery goes straight where there is no queue, and through it where there is", () => {
  assert.deepEqual(wayTo(plain, layoutLane(plain, 600, 3), 2).map((one) => one.to), ["s2"]);
  assert.deepEqual(wayTo(shared, layoutLane(shared, 600, 3), 1).map((one) => one.to), ["q0", "s1"]);
});

test("a queue that is shared stands between those who share it", () => {
  const { queues, subscribers } = layoutLane(shared, 600, 3);
  const middle = ({ y, h }) => y + h / 2;
  assert.equal(middle(queues[0]), (middle(subscribers[0]) + middle(subscribers[1])) / 2);
});

const places = JSON.parse(readFileSync(new URL("./places.json", import.meta.url), "utf8"));
const rounded = (numbers) => numbers.map((one) => Math.round(one * 1e6) / 1e6);

places.forEach(({ lane, width, rows, ...expected }, at) => {
  test(`the page puts nodes where the saved picture has them (lane ${at})`, () => {
    const layout = layoutLane(lane, width, rows);
    assert.equal(layout.height, expected.height);
    assert.deepEqual(rounded([layout.hub.x, layout.hub.y]), expected.hub);
    for (const name of ["publishers", "queues", "subscribers"]) {
      assert.deepEqual(layout[name].map(({ x, y, w, h }) => rounded([x, y, w, h])), expected[name]);
    }
    const ends = layout.links.map(({ curve }) => rounded([...curve.slice(0, 2), ...curve.slice(6)]));
    assert.deepEqual(ends, expected.links);
  });
});
