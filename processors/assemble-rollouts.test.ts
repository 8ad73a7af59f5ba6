import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SpanRecorded } from "../schemas/types.ts";
import { assembleRollouts, idleLimit } from "./assemble-rollouts.ts";
import { type Driven, drive, type Input } from "./drive.ts";
import { input, markOf, t0, valuesOf } from "./fixtures.ts";
import { callOf, rewardOf, spanOf } from "./traces/fixtures.ts";

const week = 7 * 86_400_000;
const hour = 3_600_000;

const span = (value: SpanRecorded, timestamp = t0) =>
  input({ type: "SpanRecorded", value }, timestamp);
const mark = (fields: Parameters<typeof markOf>[0] = {}, timestamp = t0) =>
  input({ type: "AttemptEnded", value: markOf(fields) }, timestamp);
const stepsOf = (driven: Driven) => valuesOf(driven.out, "StepRecorded");
const closingsOf = (driven: Driven) => valuesOf(driven.out, "RolloutAssembled");

test("each LLM call becomes a step with its reward, and the rollout is closed with counts", async () => {
  const driven = await drive(assembleRollouts, [
    span(callOf("a", 1, 2)),
    span(rewardOf("r1", 2.5, 0.25)),
    span(callOf("b", 3, 4, { attributes: { "lightning.policy.version": 9 } })),
    span(rewardOf("r2", 5, 1)),
    mark(),
  ]);
  const steps = stepsOf(driven);
  assert.deepEqual(
    steps.map(({ step_index, span_id, reward }) => [step_index, span_id, reward]),
    [
      [0, "a", 0.25],
      [1, "b", 1],
    ],
  );
  assert.deepEqual(
    steps.map((step) => step.policy_version),
    [7, 9],
  );
  assert.deepEqual(
    { ...steps[1]?.provenance },
    {
      topic: "spans",
      partition: 0,
      first_offset: 2,
      last_offset: 4,
    },
  );
  const [closing] = closingsOf(driven);
  assert.deepEqual([closing?.steps, closing?.spans, closing?.reward], [2, 4, 1]);
  assert.deepEqual(
    new Set(driven.out.map(({ topic, key }) => `${topic} ${key}`)),
    new Set(["steps default/g"]),
  );
});

test("the rollout is emitted once however often the mark comes, and late spans are only counted", async () => {
  const driven = await drive(assembleRollouts, [
    span(callOf("a", 1, 2)),
    mark(),
    mark(),
    span(callOf("b", 3, 4)),
    mark(),
  ]);
  assert.equal(closingsOf(driven).length, 1);
  assert.equal(stepsOf(driven).length, 1);
  const closed = [...driven.changelog.values()].find(({ row }) => row === "closed")?.value;
  assert.deepEqual(closed?.type === "AssemblyClosed" && closed.value.late, 1);
});

test("only the attempt that counts makes steps, and nothing of the others stays", async () => {
  const other = { attempt_id: "earlier" };
  const first = [span(callOf("a", 1, 2, other)), mark({ ...other, final: false })];
  const dropped = await drive(assembleRollouts, first);
  assert.equal(dropped.changelog.size, 0);
  const driven = await drive(assembleRollouts, [
    ...first,
    span(callOf("late", 1, 2, other)),
    span(callOf("b", 1, 2)),
    mark(),
  ]);
  assert.deepEqual(
    stepsOf(driven).map((step) => step.span_id),
    ["b"],
  );
  assert.equal(closingsOf(driven)[0]?.spans, 1);
});

test("a rollout that ended before any attempt is closed without steps", async () => {
  const driven = await drive(assembleRollouts, [
    mark({ attempt_id: "", rollout_status: "cancelled" }),
  ]);
  const [closing] = closingsOf(driven);
  assert.deepEqual([closing?.attempt_id, closing?.status, closing?.steps], [null, "cancelled", 0]);
});

test("within the grace late spans still count, behind it they do not", async () => {
  const late = (seconds: number) => span(callOf(`after ${seconds}`, 3, 4), t0 + seconds * 1000);
  const driven = await drive(
    assembleRollouts,
    [span(callOf("a", 1, 2)), mark({ grace_seconds: 10 }), late(5), late(11)],
    { until: t0 + week },
  );
  assert.deepEqual(
    stepsOf(driven).map((step) => step.span_id),
    ["a", "after 5"],
  );
  assert.equal(stepsOf(driven)[0]?.provenance.last_offset, 1);
  assert.equal(driven.changelog.size, 0);
});

test("spans without an end are closed as abandoned after a day of silence", async () => {
  const driven = await drive(
    assembleRollouts,
    [span(callOf("a", 1, 2)), span(callOf("b", 3, 4), t0 + 20 * hour)],
    { until: t0 + 20 * hour + idleLimit },
  );
  const [closing] = closingsOf(driven);
  assert.equal(closing?.status, "abandoned");
  assert.equal(closing?.ended_at, (t0 + 20 * hour + idleLimit) * 1000);
  assert.deepEqual([closing?.steps, closing?.spans], [0, 2]);
  assert.equal(driven.changelog.size, 0);
});

test("a reward that is no finite number is never one, and is counted", async () => {
  const rewards = [Number.NaN, Number.POSITIVE_INFINITY, "0.5"].map((value, i) =>
    span(rewardOf(`r${i}`, 3, value)),
  );
  const driven = await drive(assembleRollouts, [span(callOf("a", 1, 2)), ...rewards, mark()]);
  assert.equal(stepsOf(driven)[0]?.reward, null);
  assert.deepEqual(
    [closingsOf(driven)[0]?.reward, closingsOf(driven)[0]?.invalid_rewards],
    [null, 3],
  );
});

test("a judge's calls inside a reward are no steps", async () => {
  const scope = spanOf("scope", 3, 6, {
    name: "agentlightning.operation",
    attributes: { "agentlightning.operation.name": "agentlightning.reward" },
  });
  const inner = spanOf("inner", 3, 6, { parent_id: "scope" });
  const driven = await drive(assembleRollouts, [
    span(callOf("judge", 4, 5, { parent_id: "inner" })),
    span(inner),
    span(scope),
    span(callOf("a", 1, 2)),
    mark(),
  ]);
  assert.deepEqual(
    stepsOf(driven).map((step) => step.span_id),
    ["a"],
  );
});

test("sequence ids order the steps when every call has its own, else the start times do", async () => {
  const order = async (...sequences: (number | null)[]) => {
    const calls = sequences.map((sequence_id, i) => callOf(`${i}`, i, i + 0.5, { sequence_id }));
    const driven = await drive(assembleRollouts, [...calls.map((call) => span(call)), mark()]);
    return stepsOf(driven)
      .map((step) => step.span_id)
      .join("");
  };
  assert.equal(await order(3, 1, 2), "120");
  assert.equal(await order(3, null, 2), "012");
  assert.equal(await order(3, 3, 2), "012");
});

test("a key that is not the rollout's is refused, naming it", async () => {
  const wrong = { ...span(callOf("a", 1, 2)), key: "x" };
  await assert.rejects(drive(assembleRollouts, [wrong]), /key: read x, must be default\/ro/);
});

const anySpan: fc.Arbitrary<SpanRecorded> = fc
  .record({
    id: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"),
    kind: fc.nat(3),
    start: fc.nat(6),
    length: fc.nat(3),
    parent: fc.option(fc.constantFrom("a", "b", "c", "d", "missing")),
    sequence: fc.option(fc.nat(8)),
    attempt: fc.constantFrom("at", "at", "at", "old"),
    response: fc.option(fc.constantFrom("x", "y"), { nil: undefined }),
    value: fc.constantFrom(0, 0.5, 1, Number.NaN),
  })
  .map(({ id, kind, start, length, parent, sequence, attempt, response, value }) => {
    const fields = { parent_id: parent, sequence_id: sequence, attempt_id: attempt };
    const attributes = response === undefined ? {} : { "gen_ai.response.id": response };
    if (kind < 2) return callOf(id, start, start + length, { ...fields, attributes });
    return kind === 2
      ? rewardOf(id, start, value, fields)
      : spanOf(id, start, start + length, { ...fields, attributes: { "agent.name": id } });
  });

const shuffled = fc.array(anySpan, { maxLength: 12 }).chain((spans) =>
  fc.record({
    spans: fc.constant(spans),
    order: fc.shuffledSubarray([...spans, ...spans.slice(0, 3)], { minLength: spans.length }),
  }),
);

/** What was written, without the places in the log the parts came from. */
function saidBy(driven: Driven): unknown {
  return driven.out.map(({ type, key, value }) => ({
    type,
    key,
    value: { ...value, provenance: null },
  }));
}

test("any arrival order and any duplicates give the same steps", async () => {
  await fc.assert(
    fc.asyncProperty(shuffled, async ({ spans, order }) => {
      const all = [...spans, ...order.filter((copy) => !spans.includes(copy))];
      const inOrder = await drive(assembleRollouts, [...all.map((one) => span(one)), mark()]);
      const mixed = await drive(assembleRollouts, [
        ...order.map((one) => span(one)),
        ...spans.toReversed().map((one) => span(one)),
        mark(),
      ]);
      assert.deepEqual(saidBy(mixed), saidBy(inOrder));
    }),
    { numRuns: 100 },
  );
});

const anyLog: fc.Arbitrary<Input[]> = fc
  .tuple(
    fc.array(fc.tuple(anySpan, fc.constantFrom("ro", "ro2"), fc.nat(5000)), { maxLength: 12 }),
    fc.array(
      fc.record({ final: fc.boolean(), grace_seconds: fc.constantFrom(0, 3), at: fc.nat(12) }),
    ),
  )
  .map(([spans, marks]) => {
    let time = t0;
    const log = spans.map(([value, rollout_id, wait]) => {
      time += wait;
      return span({ ...value, rollout_id }, time);
    });
    for (const { at, final, grace_seconds } of marks) {
      const timestamp = log[at - 1]?.timestamp ?? t0;
      const fields = {
        final,
        grace_seconds,
        attempt_id: final ? "at" : "old",
        ended_at: timestamp * 1000,
      };
      if (at <= log.length) log.splice(at, 0, mark(fields, timestamp) as never);
    }
    return log;
  });

test("crashing anywhere changes nothing", async () => {
  const places = fc.array(fc.nat(20));
  await fc.assert(
    fc.asyncProperty(anyLog, places, places, async (log, crashAfter, crashBefore) => {
      const until = t0 + week;
      const calm = await drive(assembleRollouts, log, { until });
      const crashed = await drive(assembleRollouts, log, { until, crashAfter, crashBefore });
      assert.deepEqual(crashed, calm);
    }),
    { numRuns: 60 },
  );
});

test("every open rollout reaches its end", async () => {
  await fc.assert(
    fc.asyncProperty(anyLog, async (log) => {
      const driven = await drive(assembleRollouts, log, { until: t0 + week });
      assert.equal(driven.changelog.size, 0);
    }),
    { numRuns: 60 },
  );
});

test("assembling is linear in spans: 20,000 take seconds at most", () => {
  const rows = new Map();
  const event = (value: SpanRecorded, offset: number) =>
    ({ ...span(value), at: { partition: 0, offset, timestamp: t0 } }) as never;
  const started = performance.now();
  for (let i = 0; i < 10_000; i++) {
    for (const one of [callOf(`c${i}`, i, i + 0.5), rewardOf(`r${i}`, i + 0.7, 1)]) {
      const { put = [] } = assembleRollouts.step(rows, event(one, i));
      for (const [id, row] of put) rows.set(id, row);
    }
  }
  const end = { ...mark(), at: { partition: 0, offset: 9, timestamp: t0 } } as never;
  assert.equal(assembleRollouts.step(rows, end).emit?.length, 10_001);
  // Usually 0.5 s; quadratic work would take minutes.
  assert.ok(performance.now() - started < 20_000);
});
