import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SpanRecorded } from "../schemas/types.ts";
import { assembleRollouts, idleLimit } from "./assemble-rollouts.ts";
import {
  anyLog,
  closingsOf,
  mark,
  shuffled,
  span,
  stepsOf,
  week,
  writtenSteps,
} from "./assembly-fixtures.ts";
import { type Driven, drive } from "./drive.ts";
import { t0, valuesOf } from "./fixtures.ts";
import { callOf, rewardOf, spanOf } from "./traces/fixtures.ts";

const hour = 3_600_000;

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

test("a selection that cannot be read loses no rollout, and a reason names its field", async () => {
  const selection = '{"agents": [{"match": "("}]}';
  const driven = await drive(assembleRollouts, [span(callOf("a", 1, 2)), mark({ selection })]);
  assert.deepEqual(writtenSteps(driven), ["0 a null"]);
  const [omitted] = valuesOf(driven.out, "CallOmitted");
  assert.deepEqual([omitted?.span_id, omitted?.reason], ["", "selection-invalid"]);
  assert.match(omitted?.detail ?? "", /^selection\.agents\.0\.match: read \(/);
  assert.deepEqual([closingsOf(driven)[0]?.steps, closingsOf(driven)[0]?.omitted], [1, 1]);
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
  assert.deepEqual([closing?.calls, closing?.omitted], [2, 2]);
  assert.deepEqual(
    valuesOf(driven.out, "CallOmitted").map(({ span_id, reason }) => [span_id, reason]),
    [
      ["a", "abandoned"],
      ["b", "abandoned"],
    ],
  );
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

test("each agent's calls carry its policy, and those of others a reason", async () => {
  const agent = (name: string) => spanOf(name, 0, 9, { attributes: { "agent.name": name } });
  const agents = [
    { match: "^writer$", policy: "main" },
    { match: "critic", policy: "" },
  ];
  const driven = await drive(assembleRollouts, [
    ...["writer", "critic", "editor"].map((name) => span(agent(name))),
    span(callOf("a", 1, 2, { parent_id: "writer" })),
    span(callOf("b", 3, 4, { parent_id: "critic" })),
    span(callOf("c", 5, 6, { parent_id: "editor" })),
    mark({ selection: JSON.stringify({ agents }) }),
  ]);
  assert.deepEqual(
    stepsOf(driven).map(({ span_id, agent: name, policy }) => [span_id, name, policy]),
    [
      ["a", "writer", "main"],
      ["b", "critic", ""],
    ],
  );
  const omitted = valuesOf(driven.out, "CallOmitted");
  assert.deepEqual(
    omitted.map(({ span_id, agent: name, reason, group_id }) => [span_id, name, reason, group_id]),
    [["c", "editor", "not-selected", "g"]],
  );
  const [closing] = closingsOf(driven);
  assert.deepEqual([closing?.calls, closing?.steps, closing?.omitted], [3, 2, 1]);
  assert.equal(closing?.selection, JSON.stringify({ agents }));
});

test("every choice of a call is a step of its own", async () => {
  const attributes = { "gen_ai.completion.1.content": "other" };
  const driven = await drive(assembleRollouts, [span(callOf("a", 1, 2, { attributes })), mark()]);
  const said = stepsOf(driven).map((step) => [step.step_index, step.choice, step.completion]);
  assert.deepEqual(said[1], [1, 1, '{"role":"assistant","content":"other"}']);
  assert.deepEqual([said.length, closingsOf(driven)[0]?.calls], [2, 1]);
});

test("a reward that finds no call is counted", async () => {
  const selection = '{"reward_match": "turn"}';
  const rewards = [span(rewardOf("r1", 3, 0.5)), span(rewardOf("r2", 4, 1))];
  const driven = await drive(assembleRollouts, [
    span(callOf("a", 1, 2)),
    ...rewards,
    mark({ selection }),
  ]);
  assert.deepEqual(writtenSteps(driven), ["0 a 0.5"]);
  assert.deepEqual(stepsOf(driven)[0]?.reward_spans, ["r1"]);
  assert.deepEqual(
    [closingsOf(driven)[0]?.reward, closingsOf(driven)[0]?.unmatched_rewards],
    [1, 1],
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
