import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./load.mjs";

const { aspectTitle, cellSentence, moved, progressWords, tallyWords } = await load("guarantees_words.js");

const claim = { aspect: "persistence", answer: "no", kills: false };
const cell = { broker: "nats", channel: "subject", claim, trial: null, isMissing: false };

test("a cell says what is claimed, and what came of it", () => {
  assert.equal(cellSentence(cell), "NATS subject, persistence: claimed no; not tried yet.");
  const shown = { state: "shown", answer: "no" };
  assert.equal(cellSentence({ ...cell, trial: shown }), "NATS subject, persistence: claimed no; seen no, as claimed.");
  const otherwise = { state: "otherwise", answer: "yes" };
  assert.match(cellSentence({ ...cell, trial: otherwise }), /seen yes, not what is claimed/);
  assert.match(cellSentence({ ...cell, trial: { state: "failed" } }), /the experiment failed/);
});

test("a cell says that it kills its broker, or that the broker is missing", () => {
  assert.match(cellSentence({ ...cell, claim: { ...claim, kills: true } }), /; the experiment kills the broker\.$/);
  assert.match(cellSentence({ ...cell, isMissing: true }), /this machine lacks the broker/);
});

test("arrow keys move by one and stay in the grid", () => {
  const at = { row: 0, column: 0 };
  assert.deepEqual(moved("ArrowRight", false, at, 3, 4), { row: 0, column: 1 });
  assert.deepEqual(moved("ArrowUp", false, at, 3, 4), at);
  assert.deepEqual(moved("ArrowDown", false, { row: 2, column: 1 }, 3, 4), { row: 2, column: 1 });
});

test("Home and End go to the ends of a row, with Ctrl to those of the grid", () => {
  const at = { row: 1, column: 2 };
  assert.deepEqual(moved("Home", false, at, 3, 4), { row: 1, column: 0 });
  assert.deepEqual(moved("End", true, at, 3, 4), { row: 2, column: 3 });
  assert.deepEqual(moved("PageUp", false, at, 3, 4), { row: 0, column: 2 });
  assert.equal(moved("Enter", false, at, 3, 4), null);
});

test("progress is counted, and says when it was stopped", () => {
  const run = { done: 37, total: 121, busy: true, stopped: false };
  assert.equal(progressWords(run), "37 of 121");
  assert.equal(progressWords({ ...run, busy: false, stopped: true }), "stopped after 37 of 121");
  assert.equal(progressWords({ ...run, done: 121, busy: false }), "121 of 121 done");
  assert.equal(progressWords({ ...run, total: 0 }), "");
});

test("a tally names what came out, and only that", () => {
  assert.deepEqual(tallyWords([]), []);
  const trials = ["shown", "shown", "failed", "running"].map((state) => ({ state }));
  assert.deepEqual(tallyWords(trials), [["shown", "2 as claimed"], ["failed", "1 failed"]]);
});

test("long heads may break", () => {
  assert.equal(aspectTitle("backpressure").replaceAll("\u00ad", ""), "Backpressure");
  assert.equal(aspectTitle("dead letter"), "Dead letter");
});
