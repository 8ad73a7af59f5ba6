import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Tagged } from "../schemas/records.ts";
import { assignCredit, closedFor } from "./assign-credit.ts";
import { groupsOf, member, rowsOf, step, whole } from "./credit/log-fixtures.ts";
import { drive, type Input } from "./drive.ts";
import { grpo, input, memberOf, stepOf, t0 } from "./fixtures.ts";

const month = 31 * 86_400_000;

test("a whole group becomes a transition per step and a closing record with exact counts", async () => {
  const driven = await drive(assignCredit, [...whole("a", 2, 1), ...whole("b", 1, 0)]);
  assert.deepEqual(
    rowsOf(driven).map((row) => [
      row.rollout_id,
      row.step_index,
      row.step_count,
      row.weight,
      row.rollout_reward,
    ]),
    [
      ["a", 0, 2, 0.5, 1],
      ["a", 1, 2, 0.5, 1],
      ["b", 0, 1, 1, 0],
    ],
  );
  const [row] = rowsOf(driven);
  assert.deepEqual([...(row?.loss_mask ?? [])], [1, 1, 1]);
  assert.deepEqual(row?.credit.parameters, { std: 1, epsilon: 1e-6 });
  assert.deepEqual([row?.group_size, row?.group_members], [2, 2]);
  const [group] = groupsOf(driven);
  assert.deepEqual(
    [group?.reason, group?.members, group?.transitions],
    ["complete", ["a", "b"], 3],
  );
  assert.deepEqual(
    [group?.mean_reward, group?.std_reward, group?.equal_rewards],
    [0.5, Math.SQRT1_2, false],
  );
  assert.deepEqual([group?.min_policy_version, group?.max_policy_version], [0, 1]);
  assert.equal(driven.out.at(-1)?.type, "GroupClosed");
  assert.ok(driven.out.every(({ topic, key }) => topic === "transitions" && key === "default/g"));
});

test("a group is not closed before its last step is there", async () => {
  const [lateStep, ...rest] = [...whole("a", 2, 1), ...whole("b", 1, 0)];
  assert.equal(groupsOf(await drive(assignCredit, rest)).length, 0);
  const driven = await drive(assignCredit, [...rest, lateStep as Input]);
  assert.equal(groupsOf(driven)[0]?.transitions, 3);
});

test("a group with missing members is closed at its deadline with those who are there", async () => {
  const log = [
    ...whole("a", 1, 1),
    member(memberOf("half", 2, 1, { ended_at: (t0 + 1000) * 1000 })),
  ];
  const driven = await drive(assignCredit, log, { until: t0 + 60_000 });
  const [group] = groupsOf(driven);
  assert.deepEqual([group?.reason, group?.members, group?.group_size], ["deadline", ["a"], 2]);
  assert.equal(group?.closed_at, (t0 + 60_000) * 1000);
});

test("who comes after the group was closed does not open it again", async () => {
  const fields = { group_size: 3 };
  const late = whole("c", 1, 0, fields).map((record) => ({ ...record, timestamp: t0 + 61_000 }));
  const log = [...whole("a", 1, 1, fields), ...whole("b", 1, 0, fields), ...late];
  const driven = await drive(assignCredit, log, { until: t0 + month });
  assert.equal(groupsOf(driven).length, 1);
  assert.equal(rowsOf(driven).length, 2);
  assert.equal(driven.changelog.size, 0);
});

test("a member without a reward counts as 0, one without a step and a reward not at all", async () => {
  const fields = { group_size: 3 };
  const driven = await drive(assignCredit, [
    ...whole("a", 1, 1, fields),
    ...whole("b", 1, null, fields),
    ...whole("c", 0, null, { ...fields, status: "cancelled" }),
  ]);
  assert.equal(rowsOf(driven)[1]?.reward, null);
  const sum = rowsOf(driven).reduce((total, row) => total + row.advantage, 0);
  assert.ok(Math.abs(sum) < 1e-12 && rowsOf(driven)[0]?.group_members === 2);
  const [group] = groupsOf(driven);
  assert.deepEqual([group?.members.length, group?.mean_reward, group?.std_reward], [3, 1, null]);
});

test("an abandoned rollout opens no group", async () => {
  const driven = await drive(assignCredit, [
    member(memberOf("a", 0, null, { status: "abandoned" })),
  ]);
  assert.deepEqual([driven.out.length, driven.changelog.size], [0, 0]);
});

test("steps whose rollout is never closed do not stay for ever", async () => {
  const driven = await drive(assignCredit, [step("a", 0, 1)], { until: t0 + month });
  assert.deepEqual([driven.out.length, driven.changelog.size], [0, 0]);
});

for (const [what, record, message] of [
  [
    "an unknown strategy",
    member(memberOf("a", 0, 1, { credit: { strategy: "ppo", parameters: {}, options: {} } })),
    /credit.strategy: read ppo, allowed are final-reward/,
  ],
  ["a reward that is no number", member(memberOf("a", 0, Number.NaN)), /reward: read NaN/],
  [
    "a deadline that is no number",
    member(memberOf("a", 0, 1, { group_deadline_seconds: Number.NaN })),
    /group_deadline_seconds: read NaN/,
  ],
  [
    "a grace that is no number",
    member(memberOf("a", 0, 1, { grace_seconds: Number.NaN })),
    /grace_seconds: read NaN/,
  ],
  [
    "an option that does not exist",
    member(memberOf("a", 0, 1, { credit: { ...grpo, options: { equal: "keep" } } })),
    /credit.options.equal: group-relative has no such one, only equal_rewards/,
  ],
  [
    "token ids cut short",
    input({ type: "StepRecorded", value: { ...stepOf("a", 0, 1), response_ids: Buffer.alloc(5) } }),
    /response_ids: read 5 bytes, must be a multiple of 4/,
  ],
  [
    "another key",
    { ...step("a", 0, 1), key: "default/x" },
    /key: read default\/x, must be default\/g/,
  ],
] as const) {
  test(`a record with ${what} is refused, naming the field`, async () => {
    await assert.rejects(drive(assignCredit, [record]), message);
  });
}

const anyMembers = fc
  .array(fc.record({ steps: fc.nat(3), reward: fc.option(fc.constantFrom(0, 0.5, 1)) }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((members) =>
    members.flatMap(({ steps, reward }, i) =>
      whole(`m${i}`, steps, reward, {
        group_size: members.length,
        ended_at: (t0 + i) * 1000,
        credit: { strategy: "leave-one-out", parameters: {}, options: {} },
      }),
    ),
  );

test("any arrival order and any duplicates give the same transitions", async () => {
  const logs = anyMembers.chain((log) =>
    fc.tuple(
      fc.constant(log),
      fc.shuffledSubarray(log, { minLength: log.length }),
      fc.shuffledSubarray(log),
    ),
  );
  await fc.assert(
    fc.asyncProperty(logs, async ([inOrder, mixed, twice]) => {
      const calm = await drive(assignCredit, inOrder);
      assert.equal(groupsOf(calm).length, 1);
      const other = await drive(assignCredit, [...twice.slice(0, 2), ...mixed, ...twice]);
      assert.deepEqual(other.out, calm.out);
    }),
    { numRuns: 100 },
  );
});

const anyLog = fc
  .tuple(anyMembers, fc.array(fc.nat(40_000), { minLength: 20, maxLength: 20 }), fc.nat(20))
  .chain(([log, waits, left]) =>
    fc.shuffledSubarray(log, { minLength: Math.max(0, log.length - left) }).map((some) => {
      let timestamp = t0;
      return some.map((record, i) => {
        timestamp += waits[i] ?? 0;
        return { ...record, timestamp };
      });
    }),
  );

test("crashing anywhere changes nothing", async () => {
  const places = fc.array(fc.nat(20));
  await fc.assert(
    fc.asyncProperty(anyLog, places, places, async (log, crashAfter, crashBefore) => {
      const until = t0 + closedFor;
      const calm = await drive(assignCredit, log, { until });
      const crashed = await drive(assignCredit, log, { until, crashAfter, crashBefore });
      assert.deepEqual(crashed, calm);
    }),
    { numRuns: 60 },
  );
});

test("every open group reaches its end", async () => {
  await fc.assert(
    fc.asyncProperty(anyLog, async (log) => {
      const driven = await drive(assignCredit, log, { until: t0 + month });
      assert.equal(driven.changelog.size, 0);
    }),
    { numRuns: 60 },
  );
});

/** Folds records over rows that count how often they are looked at; a scan counts as all of them. */
function looksAt(log: readonly Input[]): number {
  const rows = new Map<string, Tagged<"StepRecorded" | "RolloutAssembled" | "GroupNoted">>();
  let looks = 0;
  const counting = new Proxy(rows, {
    get(target, name) {
      if (name === "size") return target.size;
      looks += name === "get" || name === "has" ? 1 : target.size;
      const found: unknown = Reflect.get(target, name);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
  for (const [offset, record] of log.entries()) {
    const at = { partition: 0, offset, timestamp: t0 };
    const event = { ...record, at } as Parameters<typeof assignCredit.step>[1];
    const { put = [], drop = [] } = assignCredit.step(counting, event);
    if (drop === "all") rows.clear();
    else for (const id of drop) rows.delete(id);
    for (const [id, row] of put) rows.set(id, row);
  }
  return looks;
}

for (const [members, steps] of [
  [400, 5],
  [4, 500],
] as const) {
  test(`a group of ${members} members with ${steps} steps costs a fixed number of looks per record`, () => {
    const group = Array.from({ length: members }, (_, i) =>
      whole(`m${i}`, steps, i, { group_size: members }),
    );
    const behind = group.map((log) => [...log.slice(-1), ...log.slice(0, -1)]);
    for (const log of [group.flat(), behind.flat()]) {
      const looks = looksAt(log);
      assert.ok(looks <= 12 * log.length, `${looks} looks for ${log.length} records`);
    }
  });
}
