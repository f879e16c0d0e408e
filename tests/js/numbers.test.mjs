import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./load.mjs";

const { DotRatio, RateMeter, confirmWords, dotWords, formatCount, formatRate, laneSentence, niceNumber, sumOf } =
  await load("flow_numbers.js");

test("counts are grouped by thousands", () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
});

test("rates are short", () => {
  assert.deepEqual([0, 0.94, 9.94, 24.2, 1234.4, 15321].map(formatRate), ["0", "0.9", "9.9", "24", "1,234", "15.3k"]);
});

test("a rate is what the totals grew by, over the kernel's own time", () => {
  const meter = new RateMeter();
  for (let at = 0; at <= 10; at += 0.05) meter.add(at, Math.round(at * 40));
  assert.ok(Math.abs(meter.rate - 40) < 1.5);
});

test("a lost batch does not change the rate", () => {
  const [all, some] = [new RateMeter(), new RateMeter()];
  for (let batch = 0; batch <= 200; batch++) {
    all.add(batch / 20, batch * 5);
    if (batch % 3 !== 1) some.add(batch / 20, batch * 5);
  }
  assert.ok(Math.abs(all.rate - some.rate) < 0.001);
});

test("a rate falls to zero when nothing more happens", () => {
  const meter = new RateMeter();
  for (let at = 0; at < 5; at++) meter.add(at, at < 3 ? at * 100 : 200);
  meter.add(6, 200);
  meter.add(7, 200);
  assert.equal(meter.rate, 0);
});

test("a dot is said to stand for what was not drawn as well", () => {
  const ratio = new DotRatio();
  for (let at = 0; at < 2; at += 0.05) ratio.add(at, 100, 2);
  assert.equal(ratio.messages, 50);
  assert.equal(dotWords(ratio.messages), "1 dot ≈ 50 messages");
  assert.equal(dotWords(new DotRatio().messages), "1 dot = 1 message");
});

test("nice numbers are 1, 2 or 5 times a power of ten", () => {
  assert.deepEqual([0.5, 1, 1.3, 1.6, 3, 4, 8, 15, 130, 400].map(niceNumber), [1, 1, 1, 2, 2, 5, 10, 20, 100, 500]);
});

test("a publisher says what it was told, and nothing where brokers say nothing", () => {
  assert.equal(confirmWords(false, 5, 0), "no confirms");
  assert.equal(confirmWords(true, 5, 5), "all confirmed");
  assert.equal(confirmWords(true, 1500, 1200), "1,200 confirmed");
  assert.equal(confirmWords(true, 0, 0), "0 confirmed");
});

test("sums take the columns that are asked for", () => {
  assert.equal(sumOf([[1, 2], [3, 4]], [1]), 6);
  assert.equal(sumOf([], [0]), 0);
});

test("a lane is told in a sentence for those who do not see it", () => {
  const lane = {
    broker: "rabbitmq",
    publishers: ["shop"],
    queues: ["billing"],
    subscribers: [{ name: "billing", queue: 0 }, { name: "audit", queue: null }],
  };
  const news = {
    state: "dead",
    publishers: [[1200, 1188, 10, 2, 0]],
    subscribers: [[1000, 5], [7, 0]],
    listening: [true, false],
    depths: [3],
  };
  assert.equal(
    laneSentence(lane, news),
    "RabbitMQ is down: shop sent 1,200, 10 refused, 2 in doubt, billing received 1,005, " +
      "audit, not listening, received 7, 3 wait in queue billing.",
  );
});
