import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assembleRollouts } from "./assemble-rollouts.ts";
import {
  anyLog,
  closingsOf,
  late,
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

test("a rollout is written at its end; a late reward within the grace writes it again", async () => {
  const driven = await drive(
    assembleRollouts,
    [
      span(callOf("a", 1, 2)),
      mark({ grace_seconds: 10 }),
      late(5, rewardOf("r", 3, 0.5)),
      late(11, rewardOf("too late", 4, 0.75)),
    ],
    { until: t0 + week },
  );
  assert.deepEqual(writtenSteps(driven), ["0 a null", "1 a 0.5"]);
  assert.deepEqual(
    closingsOf(driven).map((one) => [one.revision, one.steps, one.reward, one.late_rewards]),
    [
      [0, 1, null, 0],
      [1, 1, 0.5, 1],
    ],
  );
  assert.equal(stepsOf(driven)[1]?.provenance.last_offset, 1);
  assert.equal(driven.changelog.size, 0);
});

test("late spans that change no step write nothing again", async () => {
  const before = [
    span(callOf("a", 1, 2)),
    span(rewardOf("r", 3, 0.5)),
    mark({ grace_seconds: 10 }),
  ];
  const driven = await drive(
    assembleRollouts,
    [
      ...before,
      late(1, spanOf("tool", 1, 2)),
      late(2, callOf("a", 1, 2)),
      late(3, callOf("elsewhere", 1, 2, { attempt_id: "other" })),
      late(4, rewardOf("r", 3, 0.5)),
    ],
    { until: t0 + week },
  );
  assert.deepEqual(writtenSteps(driven), ["0 a 0.5"]);
  assert.equal(closingsOf(driven).length, 1);
});

test("a stream of late spans costs a logarithm of writings, and none of it is left out", async () => {
  const stream = Array.from({ length: 600 }, (_, i) => late(i / 10, callOf(`c${i}`, i, i + 0.5)));
  const driven = await drive(assembleRollouts, [mark({ grace_seconds: 60 }), ...stream], {
    until: t0 + week,
  });
  const closings = closingsOf(driven);
  assert.deepEqual(
    closings.map(({ revision, steps }) => [revision, steps]),
    [
      [0, 0],
      [1, 10],
      [2, 20],
      [3, 40],
      [4, 80],
      [5, 160],
      [6, 320],
      [7, 600],
    ],
  );
});

test("a grace that is no number is none", async () => {
  const driven = await drive(
    assembleRollouts,
    [span(callOf("a", 1, 2)), mark({ grace_seconds: Number.NaN }), late(1, rewardOf("r", 3, 1))],
    { until: t0 + week },
  );
  assert.deepEqual(writtenSteps(driven), ["0 a null"]);
  assert.equal(closingsOf(driven)[0]?.grace_seconds, 0);
  assert.equal(driven.changelog.size, 0);
});

/** What the last revision teaches, without its number and how many spans it read, late ones or all. */
function lastRevision(driven: Driven): unknown {
  const last = Math.max(...closingsOf(driven).map(({ revision }) => revision));
  return driven.out.flatMap(({ type, key, value }) => {
    if (value === null || !("revision" in value) || value.revision !== last) return [];
    const said = { ...value, provenance: null, revision: null, late_rewards: null, spans: null };
    return [{ type, key, value: said }];
  });
}

test("when spans came, before the end or within the grace, does not change the last revision", async () => {
  const waits = fc.array(fc.integer({ min: -1, max: 9 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(shuffled, waits, async ({ spans, order }, after) => {
      const graced = mark({ grace_seconds: 10 });
      // Of two copies that differ the kept one decides, so all copies stand in both logs.
      const all = [...spans, ...order.filter((copy) => !spans.includes(copy))];
      const calm = await drive(assembleRollouts, [...all.map((one) => span(one)), graced], {
        until: t0 + week,
      });
      const copies = [...order, ...spans.toReversed()];
      const placed = copies.map((value, i) => ({ value, after: after[i % after.length] ?? 0 }));
      const behind = placed.filter((one) => one.after >= 0).sort((a, b) => a.after - b.after);
      const mixed = await drive(
        assembleRollouts,
        [
          ...placed.flatMap((one) => (one.after < 0 ? [span(one.value)] : [])),
          graced,
          ...behind.map((one) => late(one.after, one.value)),
        ],
        { until: t0 + week },
      );
      assert.deepEqual(lastRevision(mixed), lastRevision(calm));
    }),
    { numRuns: 100 },
  );
});

test("every revision is whole: as many steps and reasons as its closing record counts", async () => {
  await fc.assert(
    fc.asyncProperty(anyLog, async (log) => {
      const driven = await drive(assembleRollouts, log, { until: t0 + week });
      for (const { rollout_id, revision, steps, omitted } of closingsOf(driven)) {
        const isOf = (one: { rollout_id: string; revision: number }) =>
          one.rollout_id === rollout_id && one.revision === revision;
        const own = stepsOf(driven).filter(isOf);
        assert.deepEqual(
          own.map(({ step_index }) => step_index),
          Array.from({ length: steps }, (_, i) => i),
        );
        assert.equal(valuesOf(driven.out, "CallOmitted").filter(isOf).length, omitted);
      }
      const ids = closingsOf(driven).map((one) => `${one.rollout_id} ${one.revision}`);
      assert.equal(new Set(ids).size, ids.length);
    }),
    { numRuns: 60 },
  );
});
