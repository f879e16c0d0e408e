import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./load.mjs";

const { aboutWords } = await load("player_view.js");
const { Playback, frameAt, landmarks, unfold } = await load("playback.js");

const nats = { broker: "nats", kind: "subject", name: "orders", publishers: ["shop"], queues: [], subscribers: [] };
const redis = { ...nats, broker: "redis" };
const start = { publishers: [[0, 0, 0, 0, 0]], subscribers: [], state: "running", ready_in: 0.1, listening: [], depths: [] };
const sent = (count) => ({ publishers: [[count, 0, 0, 0, 0]] });
const recording = {
  kinds: ["sent", "delivered"],
  frames: [
    { at: 0, show: [nats], lanes: { 0: start }, caption: "begin" },
    { at: 0.05, lanes: { 0: sent(3) }, dots: [[0, 0, 0, 20]] },
    { at: 1.05 },
    { at: 1.1, lanes: { 0: { state: "dead" } }, changes: [["nats", "dead"]], caption: "killed" },
    { at: 2, show: [nats, redis], lanes: { 0: { ...start, ...sent(4) }, 1: start }, changes: [["nats", "running"]] },
    { at: 2.05, lanes: { 1: sent(1) } },
  ],
};
const frames = unfold(recording);
const sentAt = (time) => frames[frameAt(frames, time)].batch.lanes.map((lane) => lane.publishers[0][0]);

test("a moment has the totals that were last said before it, and nothing later", () => {
  const expected = [[0, [0]], [0.049, [0]], [0.05, [3]], [1.09, [3]], [1.999, [3]], [2, [4, 0]], [2.05, [4, 1]], [99, [4, 1]]];
  for (const [time, counts] of expected) assert.deepEqual(sentAt(time), counts, `at ${time}`);
});

test("what a frame does not say is as before: state, captions and lanes", () => {
  assert.deepEqual(frames.map((one) => one.batch.lanes[0].state), ["running", "running", "running", "dead", "running", "running"]);
  assert.deepEqual(frames.map((one) => one.caption), ["begin", "begin", "begin", "killed", "killed", "killed"]);
  assert.deepEqual(frames.map((one) => one.shown.length), [1, 1, 1, 1, 2, 2]);
});

test("an earlier frame does not learn of a later one", () => {
  assert.equal(frames[1].batch.lanes[0].publishers[0][0], 3);
  assert.equal(frames[3].batch.lanes[0].publishers[0][0], 3);
});

test("dots get their kind and their seconds back", () => {
  assert.deepEqual(frames[1].batch.dots, [[0, "sent", 0, 0.02]]);
});

test("the frame of a time is found from before the first to after the last", () => {
  for (const time of [-1, 0, 0.04, 0.05, 1, 1.05, 1.1, 1.5, 2, 2.05, 3]) {
    const slow = Math.max(0, frames.findLastIndex((one) => one.at <= time));
    assert.equal(frameAt(frames, time), slow, `at ${time}`);
  }
});

test("every frame is played once and in order, at whatever speed", () => {
  for (const speed of [0.1, 1, 10]) {
    const playback = Object.assign(new Playback(frames), { speed, isPlaying: true });
    const played = [];
    for (let step = 0; step < 2000 && playback.isPlaying; step++) played.push(...playback.advance(0.016));
    assert.deepEqual(played, frames.slice(1), `at speed ${speed}`);
    assert.equal(playback.time, 2.05);
  }
});

test("time stands still while it is paused, and passes by speed while it plays", () => {
  const playback = new Playback(frames);
  assert.deepEqual(playback.advance(1), []);
  assert.equal(playback.time, 0);
  Object.assign(playback, { speed: 0.5, isPlaying: true }).advance(1);
  assert.equal(playback.time, 0.5);
});

test("steps go from batch to batch and stop at both ends", () => {
  const playback = new Playback(frames);
  const times = [1, 1, 1, -1, -1, -1, -1].map((by) => (playback.step(by), playback.time));
  assert.deepEqual(times, [0.05, 1.05, 1.1, 1.05, 0.05, 0, 0]);
  playback.goTo(99);
  playback.step(1);
  assert.equal(playback.time, 2.05);
});

test("a step back from between two batches goes to the earlier one", () => {
  const playback = new Playback(frames);
  playback.goTo(0.7);
  playback.step(-1);
  assert.equal(playback.time, 0.05);
});

test("what is told anew before a moment are the last frames that show the same lanes", () => {
  const playback = new Playback(frames);
  playback.goTo(1.1);
  assert.deepEqual(playback.recent(1), frames.slice(1, 4));
  playback.goTo(2.05);
  assert.deepEqual(playback.recent(6), frames.slice(4, 6));
});

test("captions, and brokers that go and come, are marked", () => {
  assert.deepEqual(landmarks(frames), [
    { at: 0, kind: "caption", words: "begin" },
    { at: 1.1, kind: "caption", words: "killed" },
    { at: 1.1, kind: "dead", broker: "nats" },
    { at: 2, kind: "running", broker: "nats" },
  ]);
});

test("what a recording was made on is said, and what is not in it", () => {
  const about = { brokers: { nats: "2.12.1", redis: "8.0.2" }, recorded: "2026-01-31", left_out: { batches: 0, dots: 0 } };
  assert.equal(aboutWords(about), "Recorded on 2026-01-31 with NATS 2.12.1, Redis 8.0.2.");
  assert.equal(aboutWords({ ...about, brokers: {} }), "Recorded on 2026-01-31.");
  const cut = aboutWords({ ...about, left_out: { batches: 1200, dots: 34 } });
  assert.match(cut, /34 dots were left out; the numbers have them\. .* 1,200 batches, was left out\.$/);
});
