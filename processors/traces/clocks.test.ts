import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpanKept } from "../../schemas/types.ts";
import { onOneClock } from "./clocks.ts";
import { kept, keptCall, keptReward, traceOf } from "./trace-fixtures.ts";

const minutes = 60_000_000;

/** Starts on one clock, from that of the first span. */
function startsOf(...spans: SpanKept[]): number[] {
  const timed = onOneClock(spans);
  return timed.map(({ start }) => start - (timed[0]?.start ?? 0));
}

test("one clock keeps its times, also where a child sticks out of its parent", () => {
  const spans = [kept("a", 5, 9, { clock: "x" }), kept("b", 1, 99, { clock: "x", parent_id: "a" })];
  assert.deepEqual(
    onOneClock(spans).map(({ start, end }) => [start, end]),
    [
      [5, 9],
      [1, 99],
    ],
  );
});

test("a child of another clock lies in the middle of its parent, the rest of its clock beside it", () => {
  const spans = [
    kept("parent", 0, 100, { clock: "a" }),
    kept("child", 7 * minutes, 7 * minutes + 20, { clock: "b", parent_id: "parent" }),
    kept("after", 7 * minutes + 50, 7 * minutes + 60, { clock: "b" }),
  ];
  assert.deepEqual(startsOf(...spans), [0, 40, 90]);
});

test("of several parents and children the pair that leaves the least room counts", () => {
  const spans = [
    kept("wide", 0, 1000, { clock: "a" }),
    kept("tight", 100, 130, { clock: "a" }),
    kept("in wide", 5000, 5010, { clock: "b", parent_id: "wide" }),
    kept("in tight", 4000, 4020, { clock: "b", parent_id: "tight" }),
  ];
  assert.deepEqual(startsOf(...spans), [0, 100, 1105, 105]);
});

test("a child that fits into its parent says more than one that is longer", () => {
  const spans = [
    kept("parent", 0, 100, { clock: "a" }),
    kept("fits", 5000, 5020, { clock: "b", parent_id: "parent" }),
    kept("longer", 5100, 5210, { clock: "b", parent_id: "parent" }),
  ];
  assert.deepEqual(startsOf(...spans), [0, 40, 140]);
});

test("neighbours by sequence id do not overlap where no parent says more", () => {
  const spans = [
    kept("call 1", 0, 10, { clock: "a", sequence_id: 1 }),
    kept("reward 1", 990, 990, { clock: "b", sequence_id: 2 }),
    kept("call 2", 20, 30, { clock: "a", sequence_id: 3 }),
    kept("reward 2", 1010, 1010, { clock: "b", sequence_id: 4 }),
  ];
  assert.deepEqual(startsOf(...spans), [0, 15, 20, 35]);
});

test("clocks nothing connects begin together", () => {
  const spans = [
    kept("a", 100, 110, { clock: "a" }),
    kept("b", 900, 910, { clock: "b" }),
    kept("c", 950, 960, { clock: "b" }),
  ];
  assert.deepEqual(startsOf(...spans), [0, 0, 50]);
});

test("clocks joined by way of a third one are on one clock", () => {
  const spans = [
    kept("a", 0, 100, { clock: "a" }),
    kept("b", 5000, 5050, { clock: "b", parent_id: "a" }),
    kept("c", 9000, 9010, { clock: "c", parent_id: "b" }),
  ];
  assert.deepEqual(startsOf(...spans), [0, 25, 45]);
});

test("a judge's clock ten minutes behind does not take its reward from the call", () => {
  const rewardOf = (skew: number) =>
    traceOf([
      kept("session", 0, 1000, { clock: "agent" }),
      keptCall("call", 100, 200, { clock: "agent", parent_id: "session", sequence_id: 1 }),
      kept("judge", 300 + skew, 400 + skew, { clock: "judge", parent_id: "session" }),
      keptReward("reward", 390 + skew, 1, { clock: "judge", parent_id: "judge" }),
    ]).calls[0]?.reward;
  assert.deepEqual([-10 * minutes, 0, 10 * minutes].map(rewardOf), [1, 1, 1]);
});
