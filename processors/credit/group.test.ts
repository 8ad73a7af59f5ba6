import assert from "node:assert/strict";
import { test } from "node:test";
import { assignCredit } from "../assign-credit.ts";
import { drive } from "../drive.ts";
import { input, memberOf, stepOf, t0, valuesOf } from "../fixtures.ts";
import { groupsOf, member, rowsOf, whole } from "./log-fixtures.ts";

test("one rollout of a larger group is compared with nobody: its steps say why they give no transition", async () => {
  const driven = await drive(assignCredit, whole("a", 2, 1), { until: t0 + 60_000 });
  assert.equal(rowsOf(driven).length, 0);
  const omitted = valuesOf(driven.out, "CallOmitted");
  assert.deepEqual(
    omitted.map(({ span_id, reason, detail }) => [span_id, reason, detail]),
    ["a 0", "a 1"].map((span) => [
      span,
      "group-incomplete",
      "1 of 2 rollouts can be compared, group-relative needs at least 2",
    ]),
  );
  const [group] = groupsOf(driven);
  assert.deepEqual([group?.transitions, group?.withheld, group?.reason], [0, 2, "deadline"]);
});

for (const [strategy, options, rows] of [
  ["discounted", {}, 2],
  ["discounted", { baseline: "group" }, 0],
  ["decayed", {}, 0],
  ["decayed", { baseline: "none" }, 2],
  ["turn-reward", {}, 2],
  ["turn-reward", { baseline: "turn" }, 0],
  ["potential-shaping", {}, 2],
] as const) {
  const what = `${strategy} ${JSON.stringify(options)}`;
  test(`one rollout of a larger group has ${rows} transitions of 2 with ${what}`, async () => {
    const credit = { strategy, parameters: {}, options };
    const driven = await drive(assignCredit, whole("a", 2, 1, { credit }), { until: t0 + 60_000 });
    assert.equal(rowsOf(driven).length, rows);
    assert.equal(groupsOf(driven)[0]?.withheld, 2 - rows);
  });
}

test("equal rewards are marked, and withheld by choice, each step saying so", async () => {
  const log = (equal_rewards: string) => {
    const credit = { strategy: "group-relative", parameters: {}, options: { equal_rewards } };
    return [...whole("a", 2, 1, { credit }), ...whole("b", 1, 1, { credit })];
  };
  const kept = await drive(assignCredit, log("keep"));
  assert.deepEqual(
    [rowsOf(kept).length, groupsOf(kept)[0]?.equal_rewards, groupsOf(kept)[0]?.withheld],
    [3, true, 0],
  );
  const withheld = await drive(assignCredit, log("withhold"));
  assert.deepEqual(
    valuesOf(withheld.out, "CallOmitted").map(({ reason, rollout_id }) => [reason, rollout_id]),
    [
      ["equal-rewards", "a"],
      ["equal-rewards", "a"],
      ["equal-rewards", "b"],
    ],
  );
  const [group] = groupsOf(withheld);
  assert.deepEqual([group?.equal_rewards, group?.transitions, group?.withheld], [true, 0, 3]);
});

test("when members ask for different credit the one that ended first decides", async () => {
  const as = (strategy: string, ended_at: number) => ({
    ended_at,
    credit: { strategy, parameters: {}, options: {} },
  });
  const driven = await drive(assignCredit, [
    ...whole("a", 1, 1, as("leave-one-out", t0 * 1000 + 2)),
    ...whole("b", 1, 0, as("final-reward", t0 * 1000 + 1)),
  ]);
  assert.equal(groupsOf(driven)[0]?.credit.strategy, "final-reward");
});

test("a failed rollout counts as 0, or by choice not at all", async () => {
  const log = (failed: string) => {
    const credit = { strategy: "leave-one-out", parameters: {}, options: { failed } };
    const fields = { group_size: 3, credit };
    return [
      ...whole("a", 1, 1, fields),
      ...whole("b", 1, 0.5, fields),
      ...whole("c", 1, null, { ...fields, status: "failed" }),
    ];
  };
  const filled = await drive(assignCredit, log("fill"));
  assert.deepEqual(
    rowsOf(filled).map(({ advantage }) => advantage),
    [0.75, 0, -0.75],
  );
  const excluded = await drive(assignCredit, log("exclude"));
  assert.deepEqual(
    rowsOf(excluded).map(({ advantage, group_members }) => [advantage, group_members]),
    [
      [0.5, 2],
      [-0.5, 2],
    ],
  );
  const [omitted] = valuesOf(excluded.out, "CallOmitted");
  assert.deepEqual([omitted?.rollout_id, omitted?.reason], ["c", "failed-rollout"]);
  assert.match(omitted?.detail ?? "", /status: read failed/);
});

test("each row trains under its own advantage: a mask and a number for every step of a long rollout", async () => {
  const credit = { strategy: "discounted", parameters: { gamma: 0.5 }, options: {} };
  const steps = [1, null, 4].map((reward, i) => ({
    ...stepOf("a", i, reward),
    response_ids: Buffer.alloc(4 * (i + 1)),
  }));
  const driven = await drive(assignCredit, [
    ...steps.map((value) => input({ type: "StepRecorded", value })),
    member(memberOf("a", 3, 4, { group_size: 1, credit })),
  ]);
  assert.deepEqual(
    rowsOf(driven).map(({ advantage, loss_mask }) => [advantage, [...loss_mask]]),
    [
      [2, [1]],
      [2, [1, 1]],
      [4, [1, 1, 1]],
    ],
  );
});

test("rollouts of one group are compared although each has an id and a step stream of its own", async () => {
  const ids = ["a", "b", "c", "d"];
  const log = ids.flatMap((id, i) => whole(id, 2, i, { group_size: 4 }));
  const driven = await drive(assignCredit, log);
  assert.ok(rowsOf(driven).every(({ group_members }) => group_members === 4));
  const advantages = rowsOf(driven).map(({ advantage }) => Math.sign(advantage));
  assert.deepEqual(advantages, [-1, -1, -1, -1, 1, 1, 1, 1]);
  const own = log.map((record) => ({ ...record, key: "default/a" }));
  await assert.rejects(drive(assignCredit, own), /key: read default\/a, must be default\/g/);
});

test("policy versions are those of the log, also when the process dies between any two records", async () => {
  const log = [...whole("a", 3, 1), ...whole("b", 2, 0)];
  const crashAfter = log.map((_, i) => i);
  for (const options of [{}, { crashAfter }]) {
    const driven = await drive(assignCredit, log, options);
    const versions = rowsOf(driven).map(({ policy_version }) => policy_version);
    assert.deepEqual(versions, [0, 1, 2, 0, 1]);
    const [group] = groupsOf(driven);
    assert.deepEqual([group?.min_policy_version, group?.max_policy_version], [0, 2]);
  }
});

test("rewards too large to be compared give no transitions that no trainer could read", async () => {
  const credit = { strategy: "leave-one-out", parameters: {}, options: {} };
  const log = [
    ...whole("a", 1, Number.MAX_VALUE, { credit }),
    ...whole("b", 1, -Number.MAX_VALUE, { credit }),
  ];
  const driven = await drive(assignCredit, log);
  assert.equal(rowsOf(driven).length, 0);
  const [omitted] = valuesOf(driven.out, "CallOmitted");
  assert.equal(omitted?.reason, "not-finite");
  assert.match(omitted?.detail ?? "", /^leave-one-out gave Infinity: the rewards are too large/);
  const [closed] = groupsOf(driven);
  assert.deepEqual([closed?.mean_reward, closed?.std_reward, closed?.withheld], [0, null, 2]);
});
