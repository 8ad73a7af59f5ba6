import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordName } from "../schemas/records.ts";
import { assembleRollouts } from "./assemble-rollouts.ts";
import { assignCredit } from "./assign-credit.ts";
import { drive, type Input } from "./drive.ts";
import { ask, enqueueOf, input, markOf, t0, valuesOf } from "./fixtures.ts";
import type { Emitted } from "./processor.ts";
import { attemptIdFor } from "./rollout-lifecycle.ts";
import { callOf, rewardOf } from "./traces/fixtures.ts";
import { trackRollouts } from "./track-rollouts.ts";

/** What one processor wrote to a topic, as the next one reads it. */
function written(out: readonly Emitted<RecordName>[], topic: string): Input[] {
  return out.flatMap((emitted) =>
    emitted.topic === topic && emitted.type !== null
      ? [{ ...emitted, timestamp: t0 + 9000 } as Input]
      : [],
  );
}

test("from a queued task to its transition: two rollouts of a group, one of them tried twice", async () => {
  const group = { group_id: "g", group_size: 2 };
  const again = { config: { max_attempts: 2, retry_condition: ["failed"] } };
  const requests = [
    enqueueOf("x", group),
    enqueueOf("y", { ...group, ...again }),
    ask("ClaimRequested", "x", "cx"),
    ask("ClaimRequested", "y", "cy1"),
    ask("EndRequested", "y", "ey1", { status: "failed" }),
    ask("ClaimRequested", "y", "cy2"),
    ask("EndRequested", "x", "ex"),
    ask("EndRequested", "y", "ey2"),
  ];
  const tracked = await drive(
    trackRollouts,
    requests.map((request) => input(request)),
  );

  const attempt = (rollout_id: string, claim: string, reward: number) => {
    const of = { rollout_id, attempt_id: attemptIdFor(rollout_id, claim) };
    return [callOf(claim, 1, 2, of), rewardOf(`r ${claim}`, 3, reward, of)];
  };
  const spans = [attempt("x", "cx", 1), attempt("y", "cy1", 0.9), attempt("y", "cy2", 0)].flat();
  const assembled = await drive(assembleRollouts, [
    ...spans.map((value) => input({ type: "SpanRecorded", value })),
    ...written(tracked.out, "spans"),
  ]);
  const credited = await drive(assignCredit, written(assembled.out, "steps"));

  assert.deepEqual(
    valuesOf(credited.out, "TransitionRecorded").map((row) => [row.span_id, row.reward, row.mode]),
    [
      ["cx", 1, "train"],
      ["cy2", 0, "train"],
    ],
  );
  const [closed] = valuesOf(credited.out, "GroupClosed");
  assert.deepEqual([closed?.reason, closed?.transitions, closed?.group_id], ["complete", 2, "g"]);
});

test("a reward that comes late but within the grace revises the transitions of its whole group", async () => {
  const group = { group_id: "g", group_size: 2, grace_seconds: 60 };
  const assembled = async (rollout_id: string, reward: number, late: number | null) => {
    const of = { rollout_id, attempt_id: "at" };
    const spans = [callOf(`call ${rollout_id}`, 1, 2, of), rewardOf("r1", 3, reward, of)];
    const mark = markOf({ ...of, ...group });
    const revised = late === null ? [] : [rewardOf("r2", 4, late, of)];
    const spansOf = [
      ...spans.map((value) => input({ type: "SpanRecorded", value })),
      input({ type: "AttemptEnded", value: mark }),
      ...revised.map((value) => input({ type: "SpanRecorded", value }, t0 + 5000)),
    ];
    const driven = await drive(assembleRollouts, spansOf, { until: t0 + 60_000 });
    return written(driven.out, "steps");
  };
  const log = [...(await assembled("x", 1, null)), ...(await assembled("y", 0, 3))];
  const credited = await drive(assignCredit, log);
  assert.deepEqual(
    valuesOf(credited.out, "TransitionRecorded").map((row) => [
      row.revision,
      row.rollout_id,
      row.rollout_reward,
      Math.sign(row.advantage),
    ]),
    [
      [0, "x", 1, 1],
      [0, "y", 0, -1],
      [1, "x", 1, -1],
      [1, "y", 3, 1],
    ],
  );
  const revisions = valuesOf(credited.out, "GroupClosed").map(({ revision }) => revision);
  assert.deepEqual(revisions, [0, 1]);
});
