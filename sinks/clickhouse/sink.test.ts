import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import type { Tagged } from "../../schemas/records.ts";
import { type ClickHouseClient, command, connectClickHouse, rowsOf } from "./client.ts";
import { bundledMigrations } from "./migrate.ts";
import { duplicates } from "./queries-figures.ts";
import { tables } from "./rows.ts";
import { createClickHouseSink } from "./sink.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";
import { step, transition } from "./test-records/credit.ts";
import { delivery } from "./test-records/delivery.ts";
import { others } from "./test-records/others.ts";
import { rolloutChanged } from "./test-records/rollouts.ts";
import { attemptEnded, span } from "./test-records/spans.ts";

let db: TestDatabase;
before(async () => {
  db = await openTestDatabase();
});
after(() => db.close());

async function count(table: string, where = "1"): Promise<number> {
  const [row] = await rowsOf<{ n: number }>(
    db.client,
    `SELECT count() AS n FROM ${table} WHERE ${where}`,
  );
  return row?.n ?? -1;
}

/** One span per id, of a rollout of its own. */
function spansOf(rolloutId: string, ids: readonly number[]): Tagged[] {
  return ids.map((id) => span({ rollout_id: rolloutId, span_id: String(id), sequence_id: id }));
}

const all: readonly Tagged[] = [
  span(),
  attemptEnded(),
  rolloutChanged(),
  step(),
  transition(),
  ...others,
];

test("every kind of record becomes a row, and three deliveries of it are one copy", async () => {
  const sink = createClickHouseSink({ client: db.client });
  for (let i = 0; i < 3; i++) await sink.write(delivery("everything", all));
  for (const { name } of tables) assert.equal(await count(name), name === "batches" ? 3 : 1, name);
  const found = await duplicates(db.client);
  assert.deepEqual(
    Object.values(found),
    tables.map(() => 0),
  );
});

test("the columns of every table are those of its rows, in name and type", async () => {
  for (const table of tables) {
    const columns = await rowsOf<{ name: string; type: string }>(
      db.client,
      `SELECT name, type FROM system.columns
       WHERE database = currentDatabase() AND table = '${table.name}' ORDER BY position`,
    );
    const plain = (type: string) => type.replace(/\s+/g, "");
    assert.deepEqual(
      columns.map(({ name, type }) => `${name} ${plain(type)}`),
      table.columns.map(({ name, sql }) => `${name} ${plain(sql)}`),
      table.name,
    );
  }
});

test("every table takes a repeated insert token once", () => {
  const made = bundledMigrations().flatMap(({ statements }) => statements);
  const settings = made.filter((text) => text.startsWith("CREATE TABLE"));
  assert.equal(settings.length, tables.length);
  for (const text of settings) assert.match(text, /non_replicated_deduplication_window = 10000/);
});

test("a span that its producer sent again is one row, the first of the log", async () => {
  const sink = createClickHouseSink({ client: db.client });
  const again = spansOf("ro-again", [1, 2, 3, 2, 1]);
  await sink.write(delivery("spans", again, 100));
  await sink.write(delivery("spans", [...again, ...spansOf("ro-again", [4])], 200));
  assert.equal(await count("spans", "rollout_id = 'ro-again'"), 4);
  const offsets = await rowsOf<{ kafka_offset: number }>(
    db.client,
    "SELECT kafka_offset FROM spans WHERE rollout_id = 'ro-again' ORDER BY kafka_offset",
  );
  assert.deepEqual(
    offsets.map((row) => row.kafka_offset),
    [100, 101, 102, 205],
  );
});

test("a tombstone writes nothing and takes nothing away", async () => {
  const sink = createClickHouseSink({ client: db.client });
  const before = await count("rollout_changes");
  await sink.write({
    ...delivery("rollouts", [], 900),
    lastOffset: 900,
    records: [{ record: null, key: "default/ro-1", offset: 900, timestamp: 0 }],
  });
  assert.equal(await count("rollout_changes"), before);
});

test("names with quotes, backslashes and broken UTF-16 are stored as text", async () => {
  const sink = createClickHouseSink({ client: db.client });
  const odd = "ro-'\"\\`; DROP TABLE spans --\n\u0000";
  const record = span({ rollout_id: odd, name: "lone \ud800 surrogate" });
  await sink.write(delivery("spans", [record], 300));
  await sink.write(delivery("spans", [record], 301));
  const rows = await rowsOf<{ name: string }>(
    db.client,
    "SELECT name FROM spans WHERE rollout_id = {odd:String}",
    { odd },
  );
  assert.deepEqual(rows, [{ name: "lone \ufffd surrogate" }]);
});

test("a packed list cut short is refused by its offset before anything is sent", async () => {
  const sink = createClickHouseSink({ client: db.client });
  const bad = step({ step_index: 7, prompt_ids: Uint8Array.from([1, 2, 3]) });
  await assert.rejects(
    sink.write(delivery("steps", [step({ step_index: 6 }), bad], 400)),
    (error) =>
      error instanceof LightningError &&
      error.code === "row-refused" &&
      error.fields.offset === 401 &&
      /steps\.prompt_ids: read 3 bytes/.test(error.message),
  );
  assert.equal(await count("steps", "step_index > 5"), 0);
});

test("a row that only ClickHouse refuses is found by its offset, and the others go in once", async () => {
  const narrow = connectClickHouse({ url: db.url, database: db.database });
  const sink = createClickHouseSink({ client: limited(narrow, 1000) });
  const records = spansOf(
    "ro-refused",
    Array.from({ length: 21 }, (_, i) => i),
  );
  const bad = span({ rollout_id: "ro-refused", span_id: "13", extra: "x".repeat(5000) });
  const whole = delivery("spans", records.with(13, bad), 500);
  await assert.rejects(
    sink.write(whole),
    (error) =>
      error instanceof LightningError &&
      error.code === "row-refused" &&
      error.fields.offset === 513,
  );
  assert.equal(await count("spans", "rollout_id = 'ro-refused'"), 0);
  const rest = { ...whole, records: whole.records.filter(({ offset }) => offset !== 513) };
  await sink.write(rest);
  await sink.write(rest);
  assert.equal(await count("spans", "rollout_id = 'ro-refused'"), 20);
  await narrow.close();
});

/** The same client with a smaller limit on strings in binary formats. */
function limited(client: ClickHouseClient, bytes: number): ClickHouseClient {
  const exec = client.exec.bind(client);
  return Object.assign(client, {
    exec: (params: Parameters<typeof exec>[0]) =>
      exec({
        ...params,
        clickhouse_settings: {
          ...params.clickhouse_settings,
          format_binary_max_string_size: String(bytes),
        },
      }),
  });
}

test("a table that drifted blames no record: the sink waits", async () => {
  const other = "drifted";
  await command(db.client, `CREATE DATABASE ${other}`);
  await command(
    db.client,
    `CREATE TABLE ${other}.steps (project String, step_index String) ENGINE = MergeTree ORDER BY project`,
  );
  const client = connectClickHouse({ url: db.url, database: other });
  const sink = createClickHouseSink({ client });
  await assert.rejects(
    sink.write(delivery("steps", [step()])),
    (error) => error instanceof LightningError && error.code === "clickhouse-unavailable",
  );
  await client.close();
});

test("ClickHouse being away is clickhouse-unavailable", async () => {
  const client = connectClickHouse({ url: "http://127.0.0.1:9", database: "lightning" });
  const sink = createClickHouseSink({ client });
  await assert.rejects(
    sink.write(delivery("steps", [step()])),
    (error) => error instanceof LightningError && error.code === "clickhouse-unavailable",
  );
  await client.close();
});

test("a connection cut after the insert was applied leaves one copy", async () => {
  for (const [topic, records] of [
    ["steps", [step({ rollout_id: "ro-cut", step_index: 1 })]],
    ["spans", spansOf("ro-cut", [1, 2])],
  ] as const) {
    const cutter = await startCutter(db.url);
    const client = connectClickHouse({ url: cutter.url, database: db.database });
    const sink = createClickHouseSink({ client });
    await assert.rejects(
      sink.write(delivery(topic, records, 700)),
      (error) => error instanceof LightningError && error.code === "clickhouse-unavailable",
    );
    await waitFor(() => count(topic, "rollout_id = 'ro-cut'"), records.length);
    cutter.heal();
    await sink.write(delivery(topic, records, 700));
    assert.equal(await count(topic, "rollout_id = 'ro-cut'"), records.length);
    await client.close();
    await cutter.close();
  }
});

async function waitFor(read: () => Promise<number>, wanted: number): Promise<void> {
  for (let i = 0; i < 200 && (await read()) !== wanted; i++) {
    await new Promise((wake) => setTimeout(wake, 25));
  }
  assert.equal(await read(), wanted);
}

/** A TCP proxy that drops the answers to inserts until it is healed. */
async function startCutter(target: string) {
  const sockets = new Set<Socket>();
  let cut = true;
  const server = createServer((near) => {
    const far = connect({ host: "127.0.0.1", port: Number(new URL(target).port) });
    let inserting = false;
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    near.on("data", (bytes) => {
      inserting ||= cut && bytes.toString("latin1").includes("INSERT");
      far.write(bytes);
    });
    far.on("data", (bytes) => (inserting ? near.destroy() : near.write(bytes)));
    near.on("close", () => (inserting ? undefined : far.destroy()));
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    heal() {
      cut = false;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
