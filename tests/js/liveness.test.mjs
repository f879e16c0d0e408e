import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./load.mjs";

const { lifeOf } = await load("liveness.js");
const { timeWords } = await load("broker_cards.js");

const known = { isGone: false, isStopped: false, heardAt: 10_000, watchedAt: 9_000, now: 10_500 };

test("a kernel that was heard lately is live", () => assert.equal(lifeOf(known), "live"));
test("one that is silent for more than two and a half seconds is busy", () => {
  assert.equal(lifeOf({ ...known, now: 12_501 }), "busy");
  assert.equal(lifeOf({ ...known, now: 12_499 }), "live");
});
test("silence while nobody looked does not count", () => {
  assert.equal(lifeOf({ ...known, watchedAt: 60_000, now: 61_000 }), "live");
});
test("a kernel that is gone is gone, whatever it said last", () => {
  assert.equal(lifeOf({ ...known, isGone: true, isStopped: true }), "gone");
});
test("a picture that was stopped is not called busy", () => {
  assert.equal(lifeOf({ ...known, isStopped: true, now: 99_000 }), "stopped");
});
test("before the first word it is waited for", () => {
  assert.equal(lifeOf({ ...known, heardAt: 0, watchedAt: 10_000 }), "waiting");
});

test("a card tells the time it takes while starting, and the time it took when ready", () => {
  assert.equal(timeWords({ state: "starting", elapsed: 1.24 }), "1.2 s");
  assert.equal(timeWords({ state: "running", ready_in: 0.0103 }), "ready in 0.01 s");
  assert.equal(timeWords({ state: "running", ready_in: null }), "");
  assert.equal(timeWords({ state: "dead" }), "");
});
