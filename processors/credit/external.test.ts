import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "../../schemas/errors.ts";
import type { Credit, CreditAssigned } from "../../schemas/types.ts";
import { assignCredit } from "../assign-credit.ts";
import { type Driven, drive, type Input } from "../drive.ts";
import { t0, valuesOf } from "../fixtures.ts";
import { createTask } from "../task.ts";
import { answer, groupsOf, rowsOf, whole } from "./log-fixtures.ts";

const month = 31 * 86_400_000;
const credit: Credit = {
  strategy: "external",
  parameters: { deadline_seconds: 10 },
  options: { fallback: "leave-one-out" },
};
const group = (fields = {}): Input[] => [
  ...whole("a", 2, 1, { credit, ...fields }),
  ...whole("b", 1, 0, { credit, ...fields }),
];
const given: CreditAssigned["members"] = [
  { rollout_id: "b", advantages: [-7], returns: [] },
  { rollout_id: "a", advantages: [5, 6], returns: [0.5, 0.25] },
];
const asksOf = (driven: Driven) => valuesOf(driven.out, "CreditRequested");
const creditsOf = (driven: Driven) =>
  rowsOf(driven).map((row) => [row.rollout_id, row.advantage, row.return_value]);

test("an external strategy is asked about the whole group, once, and nothing is written yet", async () => {
  const driven = await drive(assignCredit, group());
  assert.equal(driven.out.length, 1);
  const [asked] = asksOf(driven);
  assert.deepEqual([driven.out[0]?.topic, driven.out[0]?.key], ["credit-requests", "default/g"]);
  assert.deepEqual([asked?.revision, asked?.deadline], [0, (t0 + 10_000) * 1000]);
  assert.deepEqual(
    asked?.members.map(({ rollout_id, reward, steps }) => [rollout_id, reward, steps.length]),
    [
      ["a", 1, 2],
      ["b", 0, 1],
    ],
  );
  const [, last] = asked?.members[0]?.steps ?? [];
  assert.deepEqual(JSON.parse(JSON.stringify(last)), {
    step_index: 1,
    span_id: "a 1",
    agent: "",
    policy: "",
    messages: "[]",
    completion: "{}",
    response_tokens: 3,
    reward: 1,
    rewards: {},
  });
});

test("what it answers becomes the transitions, and the rows say so", async () => {
  const driven = await drive(assignCredit, [...group(), answer(given)], { until: t0 + month });
  assert.deepEqual(creditsOf(driven), [
    ["a", 5, 0.5],
    ["a", 6, 0.25],
    ["b", -7, -7],
  ]);
  assert.equal(rowsOf(driven)[0]?.credit.options.used, "external");
  assert.equal(groupsOf(driven)[0]?.credit.options.used, "external");
  assert.deepEqual([groupsOf(driven).length, driven.changelog.size], [1, 0]);
});

test("without an answer in time the fallback is used, and the rows say so", async () => {
  const late = answer(given, 0, t0 + 10_000);
  for (const log of [group(), [...group(), late]]) {
    const driven = await drive(assignCredit, log, { until: t0 + 10_000 });
    assert.deepEqual(creditsOf(driven), [
      ["a", 1, 1],
      ["a", 1, 1],
      ["b", -1, 0],
    ]);
    const [closed] = groupsOf(driven);
    assert.equal(closed?.credit.options.used, "fallback");
    assert.equal(closed?.closed_at, (t0 + 10_000) * 1000);
    assert.equal(groupsOf(driven).length, 1);
  }
});

test("one rollout of a larger group goes to the external strategy, but not to a fallback that compares", async () => {
  const alone = whole("a", 2, 1, { credit });
  const closes = t0 + 60_000;
  const own = answer([{ rollout_id: "a", advantages: [1, 2], returns: [] }], 0, closes + 1);
  const answered = await drive(assignCredit, [...alone, own], { until: closes + 20_000 });
  assert.deepEqual(creditsOf(answered), [
    ["a", 1, 1],
    ["a", 2, 2],
  ]);
  const silent = await drive(assignCredit, alone, { until: closes + 10_000 });
  const omitted = valuesOf(silent.out, "CallOmitted").map(({ reason }) => reason);
  assert.deepEqual([rowsOf(silent).length, omitted], [0, ["group-incomplete", "group-incomplete"]]);
});

for (const [what, bad, message] of [
  ["a member is missing", answer(given.slice(1)), /members: b is missing/],
  [
    "a stranger is in it",
    answer([...given, { rollout_id: "x", advantages: [], returns: [] }]),
    /members: x was not asked for/,
  ],
  ["a member is there twice", answer([...given, ...given]), /members: a rollout is there twice/],
  [
    "a step has no advantage",
    answer([{ rollout_id: "a", advantages: [5], returns: [] }, ...given.slice(0, 1)]),
    /members\[0\].advantages: read 1 numbers, must be 2, one per step/,
  ],
  [
    "returns are too many",
    answer([{ rollout_id: "a", advantages: [5, 6], returns: [1, 2, 3] }, ...given.slice(0, 1)]),
    /members\[0\].returns: read 3 numbers, must be 2/,
  ],
  [
    "an advantage is infinite",
    answer([
      { rollout_id: "a", advantages: [5, Number.POSITIVE_INFINITY], returns: [] },
      ...given.slice(0, 1),
    ]),
    /members\[0\].advantages\[1\]: read Infinity, must be a finite number/,
  ],
  ["nobody asked that yet", answer(given, 1), /revision: read 1, asked was 0/],
] as const) {
  test(`an answer is refused and the wait goes on when ${what}`, () => {
    const task = createTask(assignCredit);
    const fold = (record: Input, offset: number) => {
      const at = { partition: 0, offset, timestamp: record.timestamp };
      return task.record({ ...record, at }, (emitted) => emitted.type);
    };
    assert.deepEqual(group().flatMap(fold), ["CreditRequested"]);
    assert.throws(
      () => fold(bad, 9),
      (error: Error) => message.test(error.message) && codeOf(error) === "record-invalid",
    );
    assert.equal(fold(answer(given), 10).length, 4);
  });
}

test("an answer nobody waits for changes nothing: before the question, said twice, about no group", async () => {
  const driven = await drive(
    assignCredit,
    [answer(given), ...group(), answer(given), answer(given), answer([])],
    { until: t0 + month },
  );
  assert.deepEqual([groupsOf(driven).length, driven.changelog.size], [1, 0]);
});

test("a revision asks again, and an answer to the question before is passed over", async () => {
  const grace = { grace_seconds: 600 };
  const revised = whole("b", 1, 3, { credit, ...grace, revision: 1 });
  const log = [...group(grace), ...revised, answer(given), answer(given, 1)];
  const asked = await drive(assignCredit, log.slice(0, -1));
  assert.deepEqual(
    asksOf(asked).map(({ revision, members }) => [revision, members[1]?.reward]),
    [
      [0, 0],
      [1, 3],
    ],
  );
  assert.equal(groupsOf(asked).length, 0);
  assert.equal(asked.changelog.size, 2 + 5, "rows of the former revision are gone");
  const driven = await drive(assignCredit, log);
  assert.deepEqual(
    groupsOf(driven).map(({ revision, mean_reward }) => [revision, mean_reward]),
    [[0, 2]],
  );
});

test("a revision of a group that was answered is asked about and written as the next one", async () => {
  const grace = { grace_seconds: 600 };
  const revised = whole("b", 1, 3, { credit, ...grace, revision: 1 });
  const next = given.map((one) => ({ ...one, returns: [] }));
  const log = [...group(grace), answer(given), ...revised, answer(next, 1)];
  const driven = await drive(assignCredit, log, { until: t0 + month });
  assert.deepEqual(
    groupsOf(driven).map(({ revision }) => revision),
    [0, 1],
  );
  assert.deepEqual(creditsOf(driven).slice(3), [
    ["a", 5, 5],
    ["a", 6, 6],
    ["b", -7, -7],
  ]);
  assert.equal(driven.changelog.size, 0);
});

test("a group too large for one record is not asked about but falls back at once", async () => {
  const metadata = JSON.stringify({ note: "x".repeat(9 * 1024 * 1024) });
  const driven = await drive(assignCredit, group({ metadata }));
  assert.equal(asksOf(driven).length, 0);
  assert.equal(groupsOf(driven)[0]?.credit.options.used, "fallback");
});

test("crashing anywhere changes nothing, questions and answers included", async () => {
  const grace = { grace_seconds: 600 };
  const revised = whole("b", 1, 3, { credit, ...grace, revision: 1 });
  const log = [...group(grace), answer(given), ...revised, answer(given), answer(given, 1)];
  const spread = log.map((record, i) => ({ ...record, timestamp: t0 + i * 1000 }));
  const places = fc.array(fc.nat(log.length));
  await fc.assert(
    fc.asyncProperty(places, places, fc.nat(3), async (crashAfter, crashBefore, left) => {
      const some = spread.slice(0, spread.length - left);
      const until = t0 + 60_000;
      const calm = await drive(assignCredit, some, { until });
      assert.deepEqual(await drive(assignCredit, some, { until, crashAfter, crashBefore }), calm);
    }),
    { numRuns: 60 },
  );
});
