import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { LightningError } from "../../schemas/errors.ts";
import { connectClickHouse, rowsOf } from "./client.ts";
import { questions } from "./questions.ts";
import { guardQuery } from "./sql-guard.ts";
import { queryFormats, readOnlySql } from "./sql-query.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";

let db: TestDatabase;
before(async () => {
  db = await openTestDatabase();
});
after(() => db.close());

const isRefused = (error: unknown) =>
  error instanceof LightningError && error.code === "query-refused" && error.message.length > 10;

/** Each must be refused by our own reading of it, before the server's `readonly` has its say. */
const attacks = [
  "",
  " ; ;",
  "-- nothing",
  "INSERT INTO spans SELECT * FROM spans",
  "DROP TABLE spans",
  "TRUNCATE TABLE spans",
  "ALTER TABLE spans DELETE WHERE 1",
  "CREATE TABLE t (a Int8) ENGINE = Memory",
  "SET readonly = 0",
  "USE system",
  "KILL QUERY WHERE 1",
  "SYSTEM SHUTDOWN",
  "GRANT ALL ON *.* TO default",
  "OPTIMIZE TABLE spans FINAL",
  "EXECUTE AS default SELECT 1",
  "BACKUP TABLE spans TO Disk('x', 'y')",
  "SELECT 1; DROP TABLE spans",
  "SELECT 1;;SELECT 2",
  "SELECT 1 /* ; */ ; DROP TABLE spans",
  "SELECT 1 SETTINGS readonly = 0",
  "SELECT 1 /**/settings/**/max_execution_time=0",
  "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
  "SELECT 1 INTO OUTFILE '/tmp/x'",
  "SELECT 1 FORMAT Native",
  "SELECT 1 PARALLEL WITH DROP TABLE spans",
  "SELECT * FROM url('http://169.254.169.254/', 'LineAsString')",
  "SELECT * FROM URL ('http://x/', CSV)",
  "SELECT * FROM `url`('http://x/', 'CSV')",
  "SELECT * FROM \"url\"('http://x/', 'CSV')",
  "SELECT * FROM url/* */('http://x/')",
  "SELECT * FROM file('/etc/passwd', 'LineAsString')",
  "SELECT file('/etc/passwd')",
  "SELECT * APPLY file FROM (SELECT '/etc/passwd')",
  "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
  "SELECT * APPLY(`file`) FROM (SELECT '/etc/passwd')",
  "WITH (SELECT file('/etc/passwd')) AS x SELECT x",
  "SELECT * FROM s3('https://b.s3.amazonaws.com/x')",
  "SELECT * FROM s3Cluster('c', 'https://b/x')",
  "SELECT * FROM gcs('https://b/x')",
  "SELECT * FROM azureBlobStorage('x')",
  "SELECT * FROM hdfs('hdfs://h/x')",
  "SELECT * FROM iceberg('s3://x')",
  "SELECT * FROM deltaLakeLocal('/x')",
  "SELECT * FROM remote('10.0.0.1', system.one)",
  "SELECT * FROM remoteSecure('10.0.0.1', system.one)",
  "SELECT * FROM cluster('default', system.one)",
  "SELECT * FROM mysql('h:3306', 'd', 't', 'u', 'p')",
  "SELECT * FROM postgresql('h:5432', 'd', 't', 'u', 'p')",
  "SELECT * FROM mongodb('h:27017', 'd', 'c', 'u', 'p')",
  "SELECT * FROM redis('h:6379', 'k', 's')",
  "SELECT * FROM sqlite('/x.db', 't')",
  "SELECT * FROM odbc('DSN=x', 't')",
  "SELECT * FROM jdbc('x', 't')",
  "SELECT * FROM executable('id', 'TSV', 'x String')",
  "SELECT * FROM merge('system', '.*')",
  "SELECT * FROM dictionary('d')",
  "SELECT * FROM eval('SELECT 1')",
  "SELECT * FROM loop(spans)",
  "SELECT * FROM filesystem('/')",
  "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))",
  "SELECT * FROM '/etc/passwd'",
  "SELECT * FROM `/etc/passwd`",
  "SELECT * FROM default.`passwd`",
  "SELECT 1 FROM spans JOIN 'x.csv' ON 1",
  "SELECT * FROM system.query_log",
  "SELECT * FROM system.users",
  "SELECT * FROM `system`.`named_collections`",
  "SELECT * FROM SYSTEM . processes",
  "SELECT * FROM information_schema.tables",
  "SELECT * FROM INFORMATION_SCHEMA.columns",
  "SELECT count() FROM spans WHERE rollout_id IN (SELECT name FROM system.settings)",
  "SELECT sleep(3)",
  "SELECT sleepEachRow(1) FROM numbers(1000)",
  "SELECT aiGenerate('c', 'x')",
  "SELECT getSetting('readonly')",
  "SELECT getServerSetting('x')",
  "SHOW PROCESSLIST",
  "SHOW GRANTS",
  "SHOW USERS",
  "SHOW SETTINGS LIKE '%'",
  "SHOW CREATE USER default",
  "SHOW CREATE SETTINGS PROFILE x",
  "SHOW ACCESS",
  "DESCRIBE url('http://x/')",
  "DESCRIBE FILESYSTEM CACHE 'x'",
  "EXPLAIN AST DROP TABLE spans",
  "EXPLAIN INSERT INTO spans SELECT * FROM spans",
  "EXPLAIN PLAN header = 1, actions = 1 DROP TABLE spans",
  "EXPLAIN SELECT * FROM url('http://x/')",
  "SELECT 1 // '\n, file('/etc/passwd') --'",
  "SELECT 1 # '\n, file('/etc/passwd') --'",
  "SELECT ‘a’, file(‘/etc/passwd’)",
  "SELECT “a” FROM spans",
  "SELECT $x$ ' $x$, file('/etc/passwd') --'",
  "SELECT x'\\', file('/etc/passwd') --'",
  "SELECT b'\\', file('/etc/passwd') --'",
  "SELECT {x:Identifier}",
  "SELECT 'open",
  'SELECT "a\\"b"',
  "SELECT 1 /* open",
  "SELECT 1\u0000",
  "SELECT\u00a0file('/etc/passwd')",
  "FROM spans SELECT *",
] as const;

test(`${attacks.length} attacks are refused, with what and why`, async () => {
  for (const attack of attacks) {
    await assert.rejects(readOnlySql(db.client, attack), isRefused, attack);
    try {
      guardQuery(attack, { database: "lightning", tableFunctions: await tableFunctions() });
      assert.fail(`let through: ${attack}`);
    } catch (error) {
      assert.ok(isRefused(error), attack);
    }
  }
});

async function tableFunctions(): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(db.client, "SELECT name FROM system.table_functions");
  return rows.map(({ name }) => name);
}

test("what people ask is answered", async () => {
  const asked = [
    "SELECT 1",
    "select 1 as x;",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "WITH 1 AS x SELECT x -- why not\n",
    "SELECT ';', 'it''s', 'a\\'b', \"name\", `span_id` FROM spans /* ; DROP */",
    "SELECT 'SETTINGS readonly=0; DROP TABLE spans; url(file('",
    "SHOW TABLES",
    "SHOW CREATE TABLE spans",
    "SHOW CREATE VIEW otel_traces",
    "DESCRIBE TABLE spans",
    "DESC spans",
    "EXPLAIN SELECT 1",
    "EXPLAIN PLAN indexes = 1 SELECT * FROM spans WHERE rollout_id = 'x'",
    "SELECT number FROM numbers(3)",
    "SELECT count() FROM lightning.spans",
    "SELECT name FROM system.columns WHERE table = 'spans'",
    "SELECT format('{} {}', 1, 2), -1e-3, x'41', [1, 2][1], (1, 2).1",
    "SELECT arrayMap(x -> x + 1, [1]), 1 != 2, 5 % 2, 1 ? 2 : 3, 1::String",
    ...questions().map(({ sql }) => sql),
  ];
  for (const sql of asked) {
    for (const format of ["JSON", "CSV"]) {
      assert.equal(typeof (await readOnlySql(db.client, sql, format)), "string", sql);
    }
  }
});

test("every format offered answers, any other is refused by name", async () => {
  for (const format of queryFormats) {
    assert.match(await readOnlySql(db.client, "SELECT 7 AS seven", format), /7/, format);
  }
  for (const format of ["Native", "Parquet", "x", "JSON; DROP", ""]) {
    await assert.rejects(readOnlySql(db.client, "SELECT 1", format), /allowed are JSON/);
  }
});

test("too many rows, too much time and too much memory are refused in words", async () => {
  const small = { seconds: 1, rows: 10, resultBytes: 1e6, memoryBytes: 64 * 1024 * 1024 };
  for (const [sql, words] of [
    ["SELECT number FROM numbers(100)", /Limit for result/],
    ["SELECT sum(cityHash64(number)) FROM numbers(1000000000000)", /Timeout exceeded/],
    ["SELECT groupArray(number) FROM numbers(100000000)", /memory limit/i],
    ["SELECT nope FROM spans", /nope/],
  ] as const) {
    await assert.rejects(
      readOnlySql(db.client, sql, "JSON", small),
      (error) => isRefused(error) && error instanceof Error && words.test(error.message),
      sql,
    );
  }
});

test("nobody to ask is clickhouse-unavailable, not the query's fault", async () => {
  const client = connectClickHouse({ url: "http://127.0.0.1:9", database: "lightning" });
  await assert.rejects(
    readOnlySql(client, "SELECT 1"),
    (error) => error instanceof LightningError && error.code === "clickhouse-unavailable",
  );
  await client.close();
});

test("text in strings and comments changes nothing, whatever it says", () => {
  const guard = { database: "lightning", tableFunctions: ["url"] };
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (inner) => {
      const quoted = inner.replace(/[\\']/g, "\\$&");
      const sql = `SELECT '${quoted}'`;
      assert.equal(guardQuery(sql, guard), sql);
      const comment = inner.replaceAll("*", "");
      assert.equal(guardQuery(`SELECT /*${comment}*/ 1`, guard).replace(/\s+/g, " "), "SELECT 1");
    }),
  );
});

test("any text is either refused or one statement that only reads", () => {
  const guard = { database: "lightning", tableFunctions: ["url", "remote"] };
  const piece = fc.constantFrom(
    "SELECT",
    " ",
    "'",
    '"',
    "`",
    "\\",
    "--",
    "/*",
    "*/",
    "\n",
    ";",
    "DROP",
    "url(",
    "(",
    ")",
    "1",
    "SETTINGS",
    ",",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      let checked: string;
      try {
        checked = guardQuery(pieces.join(""), guard);
      } catch (error) {
        assert.ok(isRefused(error));
        return;
      }
      const bare = checked.replace(/'(?:[^'\\]|\\[\s\S]|'')*'|`[^`]*`|"[^"]*"/g, "''");
      assert.doesNotMatch(bare, /;|--|\/\*|\burl\(|\bSETTINGS\b/);
    }),
  );
});
