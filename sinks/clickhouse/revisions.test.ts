import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Tagged } from "../../schemas/records.ts";
import type { Sink } from "../sink.ts";
import { rowsOf } from "./client.ts";
import { transitionsOf } from "./queries.ts";
import { createClickHouseSink } from "./sink.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";
import {
  callOmitted,
  groupClosed,
  rolloutAssembled,
  step,
  transition,
} from "./test-records/credit.ts";
import { delivery } from "./test-records/delivery.ts";

let db: TestDatabase;
let sink: Sink;
let offset = 0;

before(async () => {
  db = await openTestDatabase();
  sink = createClickHouseSink({ client: db.client });
});
after(() => db.close());

async function write(topic: string, records: readonly Tagged[]): Promise<void> {
  await sink.write(delivery(topic, records, offset));
  offset += records.length;
}

/** The distinguishing column of the rows of a view, for one rollout or group. */
async function seen(view: string, column: string, where: string): Promise<unknown[]> {
  const rows = await rowsOf<Record<string, unknown>>(
    db.client,
    `SELECT ${column} FROM ${view} WHERE ${where} ORDER BY ALL`,
  );
  return rows.map((row) => row[column]);
}

test("a revision of a rollout replaces all its steps, also those it has no more", async () => {
  const of = { rollout_id: "ro-revised" };
  const where = "rollout_id = 'ro-revised'";
  await write("steps", [
    step({ ...of, step_index: 0, reward: 1 }),
    step({ ...of, step_index: 1, reward: 1 }),
    callOmitted({ ...of, reason: "failed" }),
    rolloutAssembled({ ...of, steps: 2, revision: 0 }),
  ]);
  assert.deepEqual(await seen("latest_steps", "step_index", where), [0, 1]);
  assert.deepEqual(await seen("latest_omitted_calls", "reason", where), ["failed"]);
  await write("steps", [
    step({ ...of, step_index: 0, reward: 2, revision: 1 }),
    callOmitted({ ...of, reason: "duplicate", revision: 1 }),
    rolloutAssembled({ ...of, steps: 1, revision: 1 }),
  ]);
  assert.deepEqual(await seen("latest_steps", "reward", where), [2]);
  assert.deepEqual(await seen("latest_omitted_calls", "reason", where), ["duplicate"]);
  assert.deepEqual(await seen("latest_assemblies", "steps", where), [1]);
  assert.deepEqual(await seen("steps", "reward", where), [1, 1, 2], "nothing is taken away");
});

test("a revision of a group replaces all its rows, also when it has none", async () => {
  const of = { group_id: "g-revised" };
  const where = "group_id = 'g-revised'";
  const rollout = (rollout_id: string) => ({ ...of, rollout_id });
  await write("transitions", [
    transition({ ...rollout("ro-a"), advantage: 1 }),
    transition({ ...rollout("ro-b"), advantage: -1 }),
    groupClosed({ ...of, transitions: 2 }),
  ]);
  await write("transitions", [
    transition({ ...rollout("ro-a"), advantage: 0.5, revision: 1 }),
    groupClosed({ ...of, transitions: 1, revision: 1 }),
  ]);
  assert.deepEqual(await seen("latest_transitions", "advantage", where), [0.5]);
  assert.deepEqual(await transitionsOf(db.client, "default", "ro-b"), []);
  const equal = { reason: "equal-rewards", revision: 2 };
  await write("transitions", [
    callOmitted({ ...rollout("ro-a"), ...equal }),
    groupClosed({ ...of, transitions: 0, withheld: 1, revision: 2 }),
  ]);
  assert.deepEqual(await seen("latest_transitions", "advantage", where), []);
  assert.deepEqual(await seen("latest_groups", "withheld", where), [1]);
  assert.deepEqual(await seen("latest_omitted_calls", "reason", where), ["equal-rewards"]);
});

test("a reason of a group outlives a revision of the rollout, and the other way round", async () => {
  const of = { rollout_id: "ro-both", group_id: "g-both" };
  const where = "rollout_id = 'ro-both'";
  await write("transitions", [callOmitted({ ...of, reason: "equal-rewards", revision: 0 })]);
  await write("steps", [
    callOmitted({ ...of, reason: "failed", revision: 1 }),
    rolloutAssembled({ ...of, revision: 1 }),
  ]);
  const reasons = () => seen("latest_omitted_calls", "reason", where);
  assert.deepEqual(await reasons(), ["equal-rewards", "failed"]);
  await write("transitions", [groupClosed({ ...of, revision: 2 })]);
  assert.deepEqual(await reasons(), ["failed"]);
});

test("what closes a rollout or a group is written behind its rows, however they come", async () => {
  const written: string[] = [];
  const exec = db.client.exec.bind(db.client);
  const client = new Proxy(db.client, {
    get: (target, name) =>
      name === "exec"
        ? (params: Parameters<typeof exec>[0]) => {
            written.push(/INSERT INTO (\w+)/.exec(params.query)?.[1] ?? "");
            return exec(params);
          }
        : Reflect.get(target, name),
  });
  const of = { group_id: "g-order", rollout_id: "ro-order" };
  const backwards = [groupClosed(of), transition(of), rolloutAssembled(of), step(of)];
  await createClickHouseSink({ client }).write(delivery("everything", backwards, offset));
  assert.deepEqual(written, ["steps", "assemblies", "transitions", "groups"]);
});
