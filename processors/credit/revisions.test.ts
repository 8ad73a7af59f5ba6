import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { GroupClosed, TransitionRecorded } from "../../schemas/types.ts";
import { assignCredit, closedFor } from "../assign-credit.ts";
import { type Driven, drive, type Input } from "../drive.ts";
import { t0 } from "../fixtures.ts";
import { groupsOf, rowsOf, whole } from "./log-fixtures.ts";

const month = 31 * 86_400_000;
const grace = { grace_seconds: 600 };

/** Rows and closing record of the newest revision, without what only tells the writings apart. */
function newestOf(driven: Driven): {
  readonly rows: Partial<TransitionRecorded>[];
  readonly group: Partial<GroupClosed>;
} {
  const last = groupsOf(driven).at(-1) as GroupClosed;
  const { revision, closed_at: _, replaces: _rows, ...group } = last;
  const rows = rowsOf(driven).filter((row) => row.revision === revision);
  assert.equal(rows.length, group.transitions, "the newest revision is whole");
  return { rows: rows.map(({ revision: _of, ...row }) => row), group };
}

test("a late reward writes the whole group again under the next revision", async () => {
  const log = [
    ...whole("a", 2, 1, grace),
    ...whole("b", 1, 0, grace),
    ...whole("b", 1, 3, { ...grace, revision: 1 }),
  ];
  const driven = await drive(assignCredit, log);
  assert.deepEqual(
    groupsOf(driven).map(({ revision, mean_reward, transitions, replaces }) => [
      revision,
      mean_reward,
      transitions,
      replaces,
    ]),
    [
      [0, 0.5, 3, 0],
      [1, 2, 3, 3],
    ],
  );
  assert.deepEqual(
    rowsOf(driven).map((row) => [
      row.revision,
      row.rollout_id,
      row.rollout_reward,
      Math.sign(row.advantage),
    ]),
    [
      [0, "a", 1, 1],
      [0, "a", 1, 1],
      [0, "b", 0, -1],
      [1, "a", 1, -1],
      [1, "a", 1, -1],
      [1, "b", 3, 1],
    ],
  );
});

test("a revision takes effect when all its steps are there, not before", async () => {
  const [closing, ...steps] = whole("b", 3, 3, { ...grace, revision: 1 }).reverse() as [
    Input,
    ...Input[],
  ];
  const before = [...whole("a", 1, 1, grace), ...whole("b", 1, 0, grace), closing];
  const waiting = await drive(assignCredit, [...before, ...steps.slice(1)]);
  assert.equal(groupsOf(waiting).length, 1);
  const driven = await drive(assignCredit, [...before, ...steps]);
  assert.deepEqual(
    groupsOf(driven).map(({ revision, transitions }) => [revision, transitions]),
    [
      [0, 2],
      [1, 4],
    ],
  );
});

test("a revision with fewer steps leaves none of the former ones", async () => {
  const log = [
    ...whole("a", 1, 1, grace),
    ...whole("b", 3, 0, grace),
    ...whole("b", 1, 0, { ...grace, revision: 1 }),
  ];
  const { rows } = newestOf(await drive(assignCredit, log));
  assert.deepEqual(
    rows.map(({ rollout_id, step_count }) => [rollout_id, step_count]),
    [
      ["a", 1],
      ["b", 1],
    ],
  );
});

test("a revision that changes no row is not written again", async () => {
  const log = [
    ...whole("a", 1, 1, grace),
    ...whole("b", 1, 0, grace),
    ...whole("b", 1, 0, { ...grace, revision: 1 }),
    ...whole("b", 1, 2, { ...grace, revision: 2 }),
  ];
  const spread = log.map((record, i) => ({ ...record, timestamp: t0 + i }));
  const driven = await drive(assignCredit, spread);
  assert.deepEqual(
    groupsOf(driven).map(({ revision }) => revision),
    [0, 1],
  );
});

test("a group closed at its deadline is revised as well, and stays without who was missing", async () => {
  const fields = { ...grace, group_size: 3 };
  const log = [
    ...whole("a", 1, 1, fields),
    ...whole("b", 1, 0, fields),
    ...whole("b", 1, 3, { ...fields, revision: 1 }).map((record) => ({
      ...record,
      timestamp: t0 + 61_000,
    })),
  ];
  const driven = await drive(assignCredit, log);
  assert.deepEqual(
    groupsOf(driven).map(({ revision, reason, mean_reward }) => [revision, reason, mean_reward]),
    [
      [0, "deadline", 0.5],
      [1, "deadline", 2],
    ],
  );
});

test("a member revised before its group closes is counted once, as it is then", async () => {
  const log = [
    ...whole("b", 1, 0, grace),
    ...whole("b", 1, 3, { ...grace, revision: 1 }),
    ...whole("a", 1, 1, grace),
  ];
  const driven = await drive(assignCredit, log);
  assert.deepEqual(
    groupsOf(driven).map(({ revision, mean_reward, members }) => [revision, mean_reward, members]),
    [[0, 2, ["a", "b"]]],
  );
});

test("a group nobody may revise gives its rows back when it closes, one with a grace later", async () => {
  const closed = await drive(assignCredit, [...whole("a", 2, 1), ...whole("b", 1, 0)]);
  assert.deepEqual([...closed.changelog.keys()].length, 2, "the note and its timer");
  const kept = await drive(assignCredit, [...whole("a", 2, 1, grace), ...whole("b", 1, 0)]);
  assert.equal(kept.changelog.size, 2 + 5);
  const until = t0 + grace.grace_seconds * 1000 + closedFor;
  const early = await drive(assignCredit, [...whole("a", 2, 1, grace), ...whole("b", 1, 0)], {
    until: until - 1,
  });
  assert.equal(early.changelog.size, 2 + 5);
  const gone = await drive(assignCredit, [...whole("a", 2, 1, grace), ...whole("b", 1, 0)], {
    until,
  });
  assert.equal(gone.changelog.size, 0);
});

test("a revision of a rollout that came after its group was closed changes nothing", async () => {
  const late = whole("c", 1, 5, { ...grace, revision: 1 });
  const log = [...whole("a", 1, 1, grace), ...whole("b", 1, 0, grace), ...late];
  const driven = await drive(assignCredit, log, { until: t0 + month });
  assert.deepEqual([groupsOf(driven).length, driven.changelog.size], [1, 0]);
});

/** Each member's revisions, 0 and on; the records of a revision belong together. */
const anyRevisions = fc
  .array(
    fc.array(fc.record({ steps: fc.nat(3), reward: fc.option(fc.constantFrom(0, 0.5, 1)) }), {
      minLength: 1,
      maxLength: 3,
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((members) =>
    members.flatMap((revisions, i) =>
      revisions.flatMap(({ steps, reward }, revision) =>
        whole(`m${i}`, steps, reward, {
          ...grace,
          revision,
          group_size: members.length,
          ended_at: (t0 + i) * 1000,
          credit: { strategy: "leave-one-out", parameters: {}, options: {} },
        }),
      ),
    ),
  );

test("the newest revision says the same however the records and their duplicates came", async () => {
  const logs = anyRevisions.chain((log) =>
    fc.tuple(
      fc.constant(log),
      fc.shuffledSubarray(log, { minLength: log.length }),
      fc.shuffledSubarray(log),
    ),
  );
  await fc.assert(
    fc.asyncProperty(logs, async ([log, mixed, twice]) => {
      const calm = newestOf(await drive(assignCredit, log));
      const other = await drive(assignCredit, [...twice.slice(0, 2), ...mixed, ...twice]);
      assert.deepEqual(newestOf(other), calm);
    }),
    { numRuns: 150 },
  );
});

test("revisions are numbered without a gap, each once", async () => {
  const logs = anyRevisions.chain((log) => fc.shuffledSubarray(log, { minLength: log.length }));
  await fc.assert(
    fc.asyncProperty(logs, async (log) => {
      const driven = await drive(assignCredit, log, { until: t0 + month });
      const revisions = groupsOf(driven).map(({ revision }) => revision);
      assert.deepEqual(
        revisions,
        revisions.map((_, i) => i),
      );
      assert.equal(driven.changelog.size, 0);
    }),
    { numRuns: 60 },
  );
});

test("crashing anywhere changes nothing, revisions included", async () => {
  const logs = anyRevisions.chain((log) => fc.shuffledSubarray(log, { minLength: log.length }));
  const places = fc.array(fc.nat(30));
  await fc.assert(
    fc.asyncProperty(logs, places, places, async (log, crashAfter, crashBefore) => {
      const calm = await drive(assignCredit, log);
      assert.deepEqual(await drive(assignCredit, log, { crashAfter, crashBefore }), calm);
    }),
    { numRuns: 60 },
  );
});
