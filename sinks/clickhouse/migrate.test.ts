import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import { command, rowsOf } from "./client.ts";
import { bundledMigrations, type MigrateOptions, migrate, parseMigration } from "./migrate.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";

let db: TestDatabase;
before(async () => {
  db = await openTestDatabase({ bare: true });
});
after(() => db.close());

const quiet = { log: () => {} };
const run = (options: Omit<MigrateOptions, "log">) => migrate(db.client, { ...quiet, ...options });

async function tablesOf(database: string): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(
    db.client,
    "SELECT name FROM system.tables WHERE database = {database:String} ORDER BY name",
    { database },
  );
  return rows.map(({ name }) => name);
}

async function noted(database: string): Promise<number[]> {
  const rows = await rowsOf<{ version: number }>(
    db.client,
    `SELECT version FROM ${database}.schema_migrations ORDER BY version`,
  );
  return rows.map(({ version }) => version);
}

const versions = bundledMigrations().map(({ version }) => version);

test("every statement can be run again, which is what lets starters race and die", () => {
  const repeatable =
    /^(CREATE (TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS|CREATE OR REPLACE VIEW|DROP (TABLE|VIEW) IF EXISTS|ALTER TABLE \S+\s+(ADD (COLUMN|INDEX) IF NOT EXISTS|DROP COLUMN IF EXISTS|MODIFY))/;
  for (const { name, statements } of bundledMigrations()) {
    for (const statement of statements) assert.match(statement, repeatable, name);
  }
  assert.deepEqual(
    versions,
    versions.map((_, i) => i + 1),
  );
});

test("a database is brought up once and left alone afterwards", async () => {
  assert.deepEqual(await run({ database: "fresh" }), versions);
  const made = await tablesOf("fresh");
  assert.ok(made.includes("spans") && made.includes("otel_traces"));
  assert.deepEqual(await run({ database: "fresh" }), []);
  assert.deepEqual(await noted("fresh"), versions);
});

test("starters at the same time end with the same tables, each version noted once", async () => {
  await Promise.all(Array.from({ length: 6 }, () => run({ database: "raced" })));
  assert.deepEqual(await noted("raced"), versions);
  assert.deepEqual(await tablesOf("raced"), await tablesOf("fresh"));
});

test("a starter that died half-way is finished by the next", async () => {
  const whole = bundledMigrations();
  const broken = whole.map((migration) =>
    migration.version === 4
      ? { ...migration, statements: [...migration.statements.slice(0, 1), "CREATE NONSENSE"] }
      : migration,
  );
  await assert.rejects(
    run({ database: "halfway", migrations: broken }),
    (error) => error instanceof LightningError && error.code === "clickhouse-unavailable",
  );
  assert.deepEqual(await noted("halfway"), [1, 2, 3]);
  assert.deepEqual(await run({ database: "halfway" }), versions.slice(3));
  assert.deepEqual(await tablesOf("halfway"), await tablesOf("fresh"));
});

test("a database of a newer build, or with another text of a migration, is refused", async () => {
  await run({ database: "newer" });
  await command(
    db.client,
    "INSERT INTO newer.schema_migrations (version, name, checksum) VALUES (999, 'later', 'x')",
  );
  await assert.rejects(
    run({ database: "newer" }),
    (error) =>
      error instanceof LightningError &&
      error.code === "data-folder-incompatible" &&
      /migration 999 \(later\).*newer build/s.test(error.message),
  );
  const [first, ...rest] = bundledMigrations();
  assert.ok(first !== undefined);
  const changed = [parseMigration("0001-spans.sql", "SELECT 1;"), ...rest];
  await assert.rejects(
    run({ database: "fresh", migrations: changed }),
    (error) =>
      error instanceof LightningError &&
      error.code === "data-folder-incompatible" &&
      error.message.includes(first.checksum),
  );
});

test("rows from before a migration keep their meaning, and running it twice changes nothing", async () => {
  const older = bundledMigrations().filter(({ version }) => version < 9);
  await run({ database: "older", migrations: older });
  await command(
    db.client,
    `INSERT INTO older.steps (project, rollout_id, step_index) VALUES ('default', 'ro-old', 0)`,
  );
  await command(
    db.client,
    `INSERT INTO older.assemblies (project, rollout_id, steps) VALUES ('default', 'ro-old', 1)`,
  );
  assert.deepEqual(await run({ database: "older" }), [9]);
  for (const statement of bundledMigrations()[8]?.statements ?? assert.fail()) {
    await command(db.client, statement.replaceAll("{database}", "older"));
  }
  assert.deepEqual(
    await rowsOf(db.client, "SELECT policy, choice, revision, potential FROM older.latest_steps"),
    [{ policy: "", choice: 0, revision: 0, potential: null }],
  );
  assert.deepEqual(
    await rowsOf(db.client, "SELECT calls, selection, revision FROM older.latest_assemblies"),
    [{ calls: 1, selection: "{}", revision: 0 }],
  );
  assert.deepEqual(
    await rowsOf(
      db.client,
      "SELECT sorting_key FROM system.tables WHERE database = 'older' AND name IN ('steps', 'assemblies') ORDER BY name",
    ),
    [
      { sorting_key: "project, rollout_id, revision" },
      { sorting_key: "project, rollout_id, attempt_id, step_index, revision" },
    ],
  );
});

test("a database whose name is no name is refused before anything is sent", async () => {
  for (const database of ["", "a b", "x`; DROP DATABASE fresh", "1st"]) {
    await assert.rejects(
      run({ database }),
      (error) => error instanceof LightningError && error.code === "config-invalid",
    );
  }
});
