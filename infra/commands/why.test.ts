import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Tagged } from "../../schemas/records.ts";
import { type RolloutFacts, rolloutFacts } from "../../sinks/clickhouse/queries-why.ts";
import { createClickHouseSink } from "../../sinks/clickhouse/sink.ts";
import { openTestDatabase, type TestDatabase } from "../../sinks/clickhouse/test-database.ts";
import {
  callOmitted,
  groupClosed,
  rolloutAssembled,
  step,
  transition,
} from "../../sinks/clickhouse/test-records/credit.ts";
import { delivery } from "../../sinks/clickhouse/test-records/delivery.ts";
import { rolloutChanged } from "../../sinks/clickhouse/test-records/rollouts.ts";
import { span } from "../../sinks/clickhouse/test-records/spans.ts";
import { outcomeOf, pageOf, verdictOf } from "./why.ts";

let db: TestDatabase;
let offset = 0;
before(async () => {
  db = await openTestDatabase();
});
after(() => db.close());

async function write(topic: string, ...records: readonly Tagged[]): Promise<void> {
  const sink = createClickHouseSink({ client: db.client });
  await sink.write(delivery(topic, records, offset));
  offset += records.length;
}

async function facts(rolloutId: string): Promise<RolloutFacts> {
  return (await rolloutFacts(db.client, "default", rolloutId)) ?? assert.fail(rolloutId);
}

const verdict = async (id: string): Promise<string> => verdictOf(id, await facts(id));

test("each call is a transition or says why it is none, in order of time", async () => {
  const of = { rollout_id: "ro-why", group_id: "g-why" };
  const call = (span_id: string, minute: number) => ({
    ...{ rollout_id: of.rollout_id, span_id, name: `chat ${span_id}` },
    ...{ sequence_id: minute, start_time: 1_790_000_000_000_000 + minute * 60_000_000 },
  });
  await write("rollouts", rolloutChanged({ ...of, status: "succeeded" }));
  await write("spans", span(call("late", 3)), span(call("first", 1)), span(call("judge", 2)));
  await write(
    "steps",
    step({ ...of, span_id: "first", step_index: 0, reward: 0.5, policy: "writer" }),
    step({ ...of, span_id: "late", step_index: 1, reward: null }),
    callOmitted({ ...of, span_id: "judge", reason: "not-selected", detail: "agent judge" }),
    rolloutAssembled({ ...of, calls: 3, steps: 2, omitted: 1, revision: 0 }),
  );
  assert.match(
    await verdict("ro-why"),
    /3 calls.*2 steps, 0 transitions.*1 of 2 members.*not closed/,
  );
  assert.deepEqual((await facts("ro-why")).calls.map(outcomeOf), ["step", "not-selected", "step"]);
  await write(
    "transitions",
    transition({ ...of, span_id: "first", step_index: 0, advantage: -1.25 }),
    callOmitted({ ...of, span_id: "late", reason: "equal-rewards", detail: "all got 1" }),
    groupClosed({ ...of, members: ["ro-why"], transitions: 1, withheld: 1 }),
  );
  const known = await facts("ro-why");
  assert.deepEqual(
    known.calls.map((c) => [c.span_id, c.step_index, c.advantage, outcomeOf(c), c.detail]),
    [
      ["first", 0, -1.25, "transition", ""],
      ["judge", null, null, "not-selected", "agent judge"],
      ["late", 1, null, "equal-rewards", "all got 1"],
    ],
  );
  assert.match(
    await verdict("ro-why"),
    /1 transitions: its group is closed.*1 transitions of it are withheld/,
  );
  const page = pageOf("ro-why", known);
  assert.match(page, /chat judge +judge +judge .*not-selected +agent judge/);
  assert.equal(page.split("\n").length, 4 + known.calls.length);
});

test("a rollout says what it waits for, and one that nobody knows is null", async () => {
  await write("rollouts", rolloutChanged({ rollout_id: "ro-run", status: "running" }));
  assert.match(await verdict("ro-run"), /not ended yet \(running\)/);
  await write("rollouts", rolloutChanged({ rollout_id: "ro-end", status: "failed" }));
  assert.match(await verdict("ro-end"), /ended \(failed\).*not assembled.*lightning lag/);
  const none = { rollout_id: "ro-none", group_id: "g-none", revision: 0 };
  await write(
    "steps",
    callOmitted({ ...none, span_id: "", reason: "no-calls", detail: "of 4 spans" }),
    rolloutAssembled({ ...none, calls: 0, steps: 0 }),
  );
  assert.match(await verdict("ro-none"), /0 calls among 4 spans.*no span was recognised/);
  assert.match(pageOf("ro-none", await facts("ro-none")), /\(the rollout\).*no-calls +of 4 spans/);
  const late = { rollout_id: "ro-late", group_id: "g-late", revision: 0 };
  await write("transitions", groupClosed({ ...late, reason: "deadline", members: ["other"] }));
  await write("steps", step(late), rolloutAssembled({ ...late, calls: 1, steps: 1 }));
  assert.match(await verdict("ro-late"), /closed \(deadline\) without it/);
  assert.equal(await rolloutFacts(db.client, "default", "ro-nobody"), null);
});
