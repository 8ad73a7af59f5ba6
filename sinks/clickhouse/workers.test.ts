import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { rowsOf } from "./client.ts";
import { createClickHouseSink } from "./sink.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";
import { delivery } from "./test-records/delivery.ts";
import { rolloutChanged, workerChanged } from "./test-records/rollouts.ts";

let db: TestDatabase;
before(async () => {
  db = await openTestDatabase();
});
after(() => db.close());

test("a worker is the latest of each group of fields, whatever snapshot said it", async () => {
  const at = 1_790_000_000_000_000;
  const first = workerChanged({ worker_id: "w-9", heartbeat_stats: '{"n": 1.0}', stats_at: at });
  const later = workerChanged({
    worker_id: "w-9",
    stats_at: null,
    heartbeat_stats: null,
    status: "idle",
    status_at: at + 9_000_000,
    current_at: at + 9_000_000,
    rollout_id: null,
    attempt_id: null,
    last_idle_at: at + 9_000_000,
  });
  const sink = createClickHouseSink({ client: db.client });
  await sink.write(delivery("workers", [later, first], 50));
  const viewed = await rowsOf(
    db.client,
    `SELECT status, rollout_id, heartbeat_stats, toUnixTimestamp64Micro(last_idle_at) AS idle
     FROM workers WHERE worker_id = 'w-9'`,
  );
  const expected = { status: "idle", rollout_id: null, heartbeat_stats: '{"n": 1.0}' };
  assert.deepEqual(viewed, [{ ...expected, idle: at + 9_000_000 }]);
});

test("a rollout keeps how long it is to stay with the gateways", async () => {
  const sink = createClickHouseSink({ client: db.client });
  const { value } = rolloutChanged();
  const config = { ...value.config, retention_seconds: 7.5 };
  await sink.write(delivery("rollouts", [{ type: "RolloutChanged", value: { ...value, config } }]));
  const viewed = await rowsOf(db.client, "SELECT retention_seconds FROM rollouts");
  assert.deepEqual(viewed, [{ retention_seconds: 7.5 }]);
});
