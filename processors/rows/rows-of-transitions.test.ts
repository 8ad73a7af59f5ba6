import assert from "node:assert/strict";
import { test } from "node:test";
import { packFloat32, packInt32 } from "../../schemas/bytes.ts";
import type { TransitionRecorded } from "../../schemas/types.ts";
import { grpo, memberOf, stepOf } from "../fixtures.ts";
import { rowsOfTransitions } from "./rows-of-transitions.ts";

type Given = Partial<Omit<TransitionRecorded, "prompt_ids" | "response_ids" | "logprobs">> & {
  readonly prompt?: readonly number[];
  readonly response?: readonly number[];
};

/** Transition `index` of a rollout of three steps; its response has log-probs of -0.5. */
function transition(index: number, { prompt = [1], response = [2], ...fields }: Given = {}) {
  const { revision: _, ...step } = stepOf("ro", index, null);
  const { resources_id, resources_version, mode, ended_at } = memberOf("ro", 3, 1);
  const value: TransitionRecorded = {
    ...step,
    step_count: 3,
    prompt_ids: packInt32(prompt),
    response_ids: packInt32(response),
    logprobs: packFloat32(response.map(() => -0.5)),
    loss_mask: Buffer.alloc(0),
    rollout_reward: 1,
    return_value: 1,
    advantage: 0.5,
    weight: 1 / 3,
    credit: grpo,
    group_size: 2,
    group_members: 2,
    mode,
    resources_id,
    resources_version,
    rollout_status: "succeeded",
    metadata: '{"sample_idx_in_batch": 3}',
    ended_at,
    revision: 0,
    ...fields,
  };
  return value;
}

const trajectory = { level: "trajectory" } as const;
const chain = [
  { prompt: [1], response: [2, 3] },
  { prompt: [1, 2, 3, 7, 7], response: [4] },
  { prompt: [1, 2, 3, 7, 7, 4], response: [5, 6] },
] as const;

test("advantages of merged turns sit under the mask of their own turn (SkyRL#1507)", () => {
  const given = chain.map((ids, i) => transition(i, { ...ids, advantage: [0.25, -1, 2][i] ?? 0 }));
  const [row, ...others] = rowsOfTransitions(given, trajectory).rows;
  assert.equal(others.length, 0);
  assert.deepEqual(row?.response_ids, Int32Array.of(2, 3, 7, 7, 4, 5, 6));
  assert.deepEqual(row?.response_mask, Uint8Array.of(1, 1, 0, 0, 1, 1, 1));
  assert.deepEqual(row?.advantages, Float64Array.of(0.25, 0.25, 0, 0, -1, 2, 2));
  assert.equal(row?.advantage, 0.25);
});

test("one advantage for all turns stays one number", () => {
  const [row] = rowsOfTransitions(
    chain.map((ids, i) => transition(i, ids)),
    trajectory,
  ).rows;
  assert.equal(row?.advantages, null);
  assert.equal(row?.advantage, 0.5);
});

test("a turn's own loss mask takes its tokens out of the advantage, too", () => {
  const [a, b] = [chain[0], chain[1]].map((ids, i) =>
    transition(i, { ...ids, advantage: i + 1, loss_mask: Buffer.from(i === 0 ? [1, 0] : [1]) }),
  );
  const [row] = rowsOfTransitions(a && b ? [a, b] : [], trajectory).rows;
  assert.deepEqual(row?.response_mask, Uint8Array.of(1, 0, 0, 0, 1));
  assert.deepEqual(row?.advantages, Float64Array.of(1, 0, 0, 0, 2));
});

test("every token says which policy version made it, in runs", () => {
  const given = chain.map((ids, i) => transition(i, { ...ids, policy_version: [4, 5, 5][i] ?? 0 }));
  const [row] = rowsOfTransitions(given, trajectory).rows;
  assert.deepEqual(row?.policy_versions, [
    { version: 4, tokens: 2 },
    { version: null, tokens: 2 },
    { version: 5, tokens: 3 },
  ]);
  assert.deepEqual([row?.policy_version_min, row?.policy_version_max], [4, 5]);
});

test("a row says where it comes from, how it was sampled, what it got and why it stopped", () => {
  const given = chain.map((ids, i) =>
    transition(i, {
      ...ids,
      temperature: 0.7,
      top_p: i === 0 ? 1 : 0.9,
      reward: i === 1 ? 0.2 : null,
      rewards: i === 1 ? { primary: 0.2, format: 1 } : {},
      finish_reason: i === 1 ? "length" : "stop",
      provenance: { topic: "spans", partition: 2, first_offset: 10 - i, last_offset: 20 + i },
    }),
  );
  const [row] = rowsOfTransitions(given, trajectory).rows;
  assert.ok(row);
  assert.deepEqual(row.turn_indexes, [0, 1, 2]);
  assert.deepEqual(row.span_ids, ["ro 0", "ro 1", "ro 2"]);
  assert.deepEqual([row.temperature, row.top_p], [0.7, null]);
  assert.deepEqual(
    row.turns.map(({ reward }) => reward),
    [null, 0.2, null],
  );
  assert.deepEqual(row.rewards, { primary: 0.2, format: 1 });
  assert.deepEqual([row.finish_reason, row.truncated], ["stop", true]);
  const { first_offset, last_offset } = row.provenance;
  assert.deepEqual([first_offset, last_offset], [8, 22]);
  assert.equal(row.sample_index, 3);
  assert.equal(row.num_turns, 3);
  assert.ok(Math.abs(row.weight - 1) < 1e-12);
  assert.deepEqual(row.credit, grpo);
  assert.deepEqual(row.logprobs, Float32Array.of(-0.5, -0.5, 0, 0, -0.5, -0.5, -0.5));
});

test("the order of the records and older revisions change nothing", () => {
  const newest = chain.map((ids, i) => transition(i, { ...ids, revision: 1, advantage: i }));
  const older = chain.map((ids, i) => transition(i, { ...ids, revision: 0, advantage: -9 }));
  const expected = rowsOfTransitions(newest, trajectory).rows;
  assert.deepEqual(rowsOfTransitions([...older, ...newest].reverse(), trajectory).rows, expected);
  assert.deepEqual(rowsOfTransitions([...newest, ...older], trajectory).rows, expected);
});

test("a row at transition level is one call, and one without tokens is left out and counted", () => {
  const given = [transition(0), transition(1, { response: [] }), transition(2, { choice: 1 })];
  const { rows, empty } = rowsOfTransitions(given);
  assert.deepEqual(
    rows.map(({ turn_indexes }) => turn_indexes),
    [[0], [2]],
  );
  assert.equal(rows[1]?.turns[0]?.choice, 1);
  assert.equal(empty, 1);
});

test("calls of two policies in one rollout never share a row", () => {
  const given = chain.map((ids, i) =>
    transition(i, { ...ids, policy: i === 1 ? "critic" : "writer" }),
  );
  const { rows } = rowsOfTransitions(given, trajectory);
  assert.deepEqual(
    rows.map(({ policy, turn_indexes }) => [policy, turn_indexes]),
    [
      ["writer", [0, 2]],
      ["critic", [1]],
    ],
  );
});
