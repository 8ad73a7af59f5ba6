import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { ClickHouseLogLevel, createClient } from "@clickhouse/client";
import fc from "fast-check";
import { pino } from "pino";
import { type ClickHouse, startClickHouseServer } from "./clickhouse.ts";
import { launchClickHouse } from "./clickhouse-process.ts";

const folder = mkdtempSync(join(tmpdir(), "lightning-clickhouse-"));
const log = pino({ level: "silent" });
const options = { dataDir: folder, port: 0, log, maxInsertBytes: 1_000_000, poolThreads: 4 };
let server: ClickHouse;
let client: ReturnType<typeof createClient>;

before(async () => {
  server = await startClickHouseServer(options);
  client = createClient({
    url: server.url,
    compression: { request: true, response: true },
    log: { level: ClickHouseLogLevel.OFF },
  });
});
after(async () => {
  await client.close();
  await server.close();
  rmSync(folder, { recursive: true });
});

let tables = 0;
async function newTable(columns = "a UInt64, s String"): Promise<string> {
  const name = `t${++tables}`;
  await client.command({
    query: `CREATE TABLE ${name} (${columns}) ENGINE MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000`,
  });
  return name;
}

async function rows(query: string): Promise<unknown[]> {
  return (await client.query({ query, format: "JSONEachRow" })).json();
}

function raw(
  query: string,
  init: RequestInit = {},
  parameters: Record<string, string> = {},
): Promise<Response> {
  const search = new URLSearchParams(query === "" ? parameters : { query, ...parameters });
  return fetch(`${server.url}/?${search}`, init);
}

/** Asserts an exception as ClickHouse words it. */
async function refused(response: Response, status: number, code: number, name: string) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.equal(response.headers.get("x-clickhouse-exception-code"), String(code));
  assert.match(
    text,
    new RegExp(`^Code: ${code}\\. DB::Exception: [\\s\\S]* \\(${name}\\) \\(version `),
  );
}

describe("clickhouse front, through @clickhouse/client", () => {
  it("answers a ping and a query with parameters", async () => {
    assert.equal((await client.ping()).success, true);
    assert.equal((await client.ping({ select: true })).success, true);
    const result = await client.query({
      query: "SELECT {text:String} AS text, {list:Array(UInt8)} AS list, {n:Nullable(Int64)} AS n",
      query_params: { text: "it's\t\\ \n'; DROP", list: [1, 2], n: null },
      format: "JSONEachRow",
    });
    assert.deepEqual(await result.json(), [{ text: "it's\t\\ \n'; DROP", list: [1, 2], n: null }]);
  });

  it("takes long parameters in a multipart body", async () => {
    const result = await client.query({
      query: "SELECT length({list:Array(String)}) AS n, {list:Array(String)}[1] AS first",
      query_params: { list: Array.from({ length: 2000 }, (_, i) => `é-${i}`) },
      use_multipart_params: true,
      format: "JSONEachRow",
    });
    assert.deepEqual(await result.json(), [{ n: 2000, first: "é-0" }]);
  });

  it("every row of an insert arrives as it was sent, and is counted", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "binary" }), { maxLength: 20 }),
        async (texts) => {
          const table = await newTable();
          const values = texts.map((s, a) => ({ a, s }));
          const inserted = await client.insert({ table, values, format: "JSONEachRow" });
          if (texts.length > 0) assert.equal(inserted.summary?.written_rows, String(texts.length));
          assert.deepEqual(await rows(`SELECT a, s FROM ${table} ORDER BY a`), values);
          await client.command({ query: `DROP TABLE ${table}` });
        },
      ),
      { numRuns: 20 },
    );
  });

  it("takes an insert and gives a result as streams", async () => {
    const table = await newTable();
    const values = Readable.from(Array.from({ length: 30_000 }, (_, a) => ({ a, s: String(a) })));
    await client.insert({ table, values, format: "JSONEachRow" });
    let seen = 0;
    const result = await client.query({ query: `SELECT * FROM ${table}`, format: "JSONEachRow" });
    for await (const chunk of result.stream()) seen += chunk.length;
    assert.equal(seen, 30_000);
  });

  it("an insert repeated with its token is not stored again, in views neither", async () => {
    const table = await newTable();
    const view = await newTable("a UInt64");
    await client.command({
      query: `CREATE MATERIALIZED VIEW ${view}_mv TO ${view} AS SELECT a FROM ${table}`,
    });
    const insert = (token: string) =>
      client.insert({
        table,
        values: Array.from({ length: 5000 }, (_, a) => ({ a, s: "x".repeat(100) })),
        format: "JSONEachRow",
        clickhouse_settings: {
          insert_deduplication_token: token,
          deduplicate_blocks_in_dependent_materialized_views: 1,
        },
      });
    await insert("spans/0/0-4999");
    await insert("spans/0/0-4999");
    assert.deepEqual(await rows(`SELECT count() AS n FROM ${table}`), [{ n: 5000 }]);
    assert.deepEqual(await rows(`SELECT count() AS n FROM ${view}`), [{ n: 5000 }]);
    await insert("spans/0/5000-9999");
    assert.deepEqual(await rows(`SELECT count() AS n FROM ${table}`), [{ n: 10_000 }]);
  });

  it("settings hold for their own statement only", async () => {
    const limited = client.query({
      query: "SELECT number FROM numbers(1000)",
      clickhouse_settings: { max_result_rows: "10" },
    });
    await assert.rejects(limited, { code: "396" });
    assert.equal((await rows("SELECT number FROM numbers(1000)")).length, 1000);
    const slow = client.query({
      query: "SELECT count() FROM numbers(100000000000) WHERE number % 7 = 3",
      clickhouse_settings: { max_execution_time: 1 },
    });
    await assert.rejects(slow, { code: "159" });
  });

  it("readonly refuses to write a table, to read a file, and to be undone", async () => {
    const table = await newTable();
    const clickhouse_settings = { readonly: "1" };
    const insert = client.insert({
      table,
      values: [{ a: 1 }],
      format: "JSONEachRow",
      clickhouse_settings,
    });
    await assert.rejects(insert, { code: "164" });
    for (const query of [
      "SELECT * FROM file('/etc/hostname', LineAsString)",
      "SET readonly = 0",
      "SELECT 1 SETTINGS readonly = 0",
      `DROP TABLE ${table}`,
    ]) {
      await assert.rejects(client.exec({ query, clickhouse_settings }), { code: "164" }, query);
    }
  });

  it("an error names its code, also in the middle of a stream", async () => {
    await assert.rejects(client.query({ query: "SELECT * FROM nowhere" }), {
      code: "60",
      type: "UNKNOWN_TABLE",
    });
    await assert.rejects(client.query({ query: "SELEC 1" }), { code: "62" });
    const result = await client.query({
      query: "SELECT throwIf(number = 900000), repeat('x', 100) FROM numbers(1000000)",
      format: "JSONEachRow",
    });
    await assert.rejects(
      async () => {
        for await (const _ of result.stream());
      },
      { code: "395" },
    );
  });
});

describe("clickhouse front, spoken to by hand", () => {
  it("answers health checks and refuses unknown paths", async () => {
    for (const path of ["/", "/ping", "/replicas_status"]) {
      assert.equal(await (await fetch(server.url + path)).text(), "Ok.\n");
    }
    assert.equal((await fetch(`${server.url}/nowhere`)).status, 404);
  });

  it("takes a statement from URL, body or both, with the data behind it", async () => {
    const table = await newTable();
    const post = (query: string, body: string) => raw(query, { method: "POST", body });
    await post("", `INSERT INTO ${table} FORMAT CSV\n1,"a;\n\nDROP TABLE ${table};"\n`);
    await post(`INSERT INTO ${table} VALUES`, "(2, 'b'),\n\n(3, 'c')");
    await post(`INSERT INTO ${table} FORMAT JSONEachRow {"a":4,"s":"d"}`, '{"a":5,"s":"é"}');
    await post(`INSERT INTO ${table} SELECT x, 'in' FROM input('x UInt64') FORMAT TSV`, "6\n");
    assert.deepEqual(await rows(`SELECT a, s FROM ${table} ORDER BY a`), [
      { a: 1, s: `a;\n\nDROP TABLE ${table};` },
      { a: 2, s: "b" },
      { a: 3, s: "c" },
      { a: 4, s: "d" },
      { a: 5, s: "é" },
      { a: 6, s: "in" },
    ]);
    assert.equal(await (await post("SELECT 1,", "'é'")).text(), "1\té\n");
    assert.deepEqual(readdirSync(join(folder, "clickhouse", "incoming")), []);
  });

  it("takes binary formats", async () => {
    const table = await newTable();
    for (const format of ["Native", "RowBinary", "Parquet"]) {
      const made = await raw(
        `SELECT number AS a, repeat('\\n\\n;', 3) AS s FROM numbers(50000) FORMAT ${format}`,
      );
      const body = Buffer.from(await made.arrayBuffer());
      await raw(`TRUNCATE TABLE ${table}`, { method: "POST" });
      const stored = await raw(`INSERT INTO ${table} FORMAT ${format}`, { method: "POST", body });
      assert.equal(stored.status, 200, await stored.text());
      assert.deepEqual(await rows(`SELECT count() AS n, any(s) AS s FROM ${table}`), [
        { n: 50_000, s: "\n\n;\n\n;\n\n;" },
      ]);
    }
  });

  it("speaks gzip both ways", async () => {
    const table = await newTable();
    const insert = `INSERT INTO ${table} FORMAT JSONEachRow`;
    const headers = { "content-encoding": "gzip" };
    const send = (body: Buffer) => raw(insert, { method: "POST", headers, body });
    assert.equal((await send(gzipSync('{"a":1,"s":"zipped"}'))).status, 200);
    assert.deepEqual(await rows(`SELECT s FROM ${table}`), [{ s: "zipped" }]);
    await refused(await send(Buffer.from("no gzip")), 500, 354, "ZLIB_INFLATE_FAILED");
    const big = "SELECT repeat('x', 100000) FORMAT TSV";
    const { request } = await import("node:http");
    const answer = await new Promise<Buffer>((done, fail) => {
      const path = `/?${new URLSearchParams({ query: big, enable_http_compression: "1" })}`;
      request(new URL(path, server.url), { headers: { "accept-encoding": "gzip" } }, (response) => {
        assert.equal(response.headers["content-encoding"], "gzip");
        response.toArray().then((chunks) => done(Buffer.concat(chunks)), fail);
      }).end();
    });
    assert.equal(gunzipSync(answer).length, 100_001);
  });

  it("a body over the limit is refused, however small it was compressed", async () => {
    const table = await newTable();
    const line = `{"a":1,"s":"${"x".repeat(1000)}"}\n`;
    for (const [body, headers] of [
      [Buffer.from(line.repeat(1100)), {}],
      [gzipSync(line.repeat(200_000)), { "content-encoding": "gzip" }],
    ] as const) {
      const sent = raw(`INSERT INTO ${table} FORMAT JSONEachRow`, {
        method: "POST",
        body,
        headers,
      });
      await refused(await sent, 413, 229, "QUERY_IS_TOO_LARGE");
    }
    assert.deepEqual(await rows(`SELECT count() AS n FROM ${table}`), [{ n: 0 }]);
    assert.deepEqual(readdirSync(join(folder, "clickhouse", "incoming")), []);
  });

  it("refuses what ClickHouse refuses, with its codes", async () => {
    const post = { method: "POST" };
    const table = await newTable();
    await refused(await raw(`DROP TABLE ${table}`), 500, 164, "READONLY");
    await refused(await raw("SELECT 1; SELECT 2", post), 400, 62, "SYNTAX_ERROR");
    await refused(await raw("", post), 400, 62, "SYNTAX_ERROR");
    await refused(await raw("SELECT 1", {}, { nosuch: "1" }), 404, 115, "UNKNOWN_SETTING");
    await refused(await raw("SELECT 1", {}, { database: "x" }), 404, 81, "UNKNOWN_DATABASE");
    await refused(await raw("SELECT 1 FORMAT Nope"), 404, 73, "UNKNOWN_FORMAT");
    await refused(await raw("SELECT nope"), 404, 47, "UNKNOWN_IDENTIFIER");
    await refused(
      await raw("SELECT 1 INTO OUTFILE '/tmp/x'", post),
      500,
      358,
      "INTO_OUTFILE_NOT_ALLOWED",
    );
    await refused(
      await raw(`INSERT INTO ${table} FROM INFILE '/etc/passwd' FORMAT CSV`, post),
      404,
      78,
      "UNKNOWN_TYPE_OF_QUERY",
    );
    const body = '{"a":1}\n{"a":"x"}';
    await refused(
      await raw(`INSERT INTO ${table} FORMAT JSONEachRow`, { ...post, body }),
      400,
      27,
      "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    );
  });

  it("lets in the default user alone, and no page of another site", async () => {
    const ask = (headers: Record<string, string>) => raw("SELECT 1", { headers });
    const basic = (pair: string) => ({ authorization: `Basic ${btoa(pair)}` });
    assert.equal((await ask(basic("default:"))).status, 200);
    assert.equal((await ask({ "x-clickhouse-user": "default" })).status, 200);
    await refused(await ask(basic("default:guess")), 403, 516, "AUTHENTICATION_FAILED");
    await refused(await ask({ "x-clickhouse-user": "bob" }), 403, 516, "AUTHENTICATION_FAILED");
    await refused(await ask({ origin: "https://evil.example" }), 403, 497, "ACCESS_DENIED");
    assert.equal((await ask({ origin: "http://localhost:3000" })).status, 200);
  });

  it("names the query, the format and the counts in headers", async () => {
    const { headers } = await raw("SELECT 1 FORMAT JSON", {}, { query_id: "q1" });
    assert.equal(headers.get("x-clickhouse-query-id"), "q1");
    assert.equal(headers.get("x-clickhouse-format"), "JSON");
    assert.equal(headers.get("content-type"), "application/json; charset=UTF-8");
    const summary = JSON.parse(headers.get("x-clickhouse-summary") ?? "{}");
    assert.equal(summary.read_rows, "1");
  });
});

describe("clickhouse front, busy", () => {
  const endless = "SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3";

  it("answers pings and takes inserts while every reader is busy", async () => {
    const table = await newTable();
    const stop = new AbortController();
    const busy = Array.from({ length: 4 }, () =>
      raw(endless, { signal: stop.signal }).catch(() => {}),
    );
    await new Promise((done) => setTimeout(done, 200));
    const before = performance.now();
    assert.equal((await client.ping()).success, true);
    await client.insert({ table, values: [{ a: 1, s: "x" }], format: "JSONEachRow" });
    assert.ok(performance.now() - before < 3000);
    stop.abort();
    await Promise.all(busy);
    // Cancelled in the engine, too: readers are free again.
    assert.deepEqual(await rows(`SELECT a FROM ${table}`), [{ a: 1 }]);
  });

  it("concurrent statements never see each other's parameters or settings", async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const result = await client.query({
          query: "SELECT {v:UInt32} AS v, getSetting('max_block_size') AS size",
          query_params: { v: i },
          clickhouse_settings: { max_block_size: String(1000 + i) },
          format: "JSONEachRow",
        });
        return result.json();
      }),
    );
    assert.deepEqual(
      answers.flat(),
      Array.from({ length: 60 }, (_, i) => ({ v: i, size: 1000 + i })),
    );
  });
});

describe("clickhouse data folder", () => {
  it("is used by one server at a time, and says who has it", async () => {
    await assert.rejects(startClickHouseServer(options), {
      code: "data-folder-locked",
      message: new RegExp(`in use by process ${process.pid}`),
    });
  });

  it("a server of its own process names a taken port, and stops when asked", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "lightning-clickhouse-"));
    const port = Number(new URL(server.url).port);
    await assert.rejects(launchClickHouse({ dataDir, port, log }), {
      code: "port-in-use",
      message: new RegExp(
        `port ${port}, wanted for ClickHouse, is in use by .* \\(pid ${process.pid}\\)`,
      ),
    });
    const launched = await launchClickHouse({ dataDir, port: 0, log });
    assert.equal(await (await fetch(`${launched.url}/?query=SELECT+1`)).text(), "1\n");
    await launched.stop();
    assert.equal(await launched.exited, "exited with 0");
    rmSync(dataDir, { recursive: true });
  });

  it("keeps its rows over a restart, drops unfinished inserts, and is refused when it is newer", async () => {
    const table = await newTable();
    await client.insert({ table, values: [{ a: 7, s: "kept" }], format: "JSONEachRow" });
    await server.close();
    writeFileSync(join(folder, "clickhouse", "incoming", "left.data"), "x");
    server = await startClickHouseServer({ ...options, port: Number(new URL(server.url).port) });
    assert.deepEqual(await rows(`SELECT s FROM ${table}`), [{ s: "kept" }]);
    assert.deepEqual(readdirSync(join(folder, "clickhouse", "incoming")), []);
    await server.close();
    writeFileSync(join(folder, "clickhouse", "version"), "99.1.2\n");
    await assert.rejects(startClickHouseServer(options), { code: "data-folder-incompatible" });
    rmSync(join(folder, "clickhouse", "version"));
    server = await startClickHouseServer({ ...options, port: Number(new URL(server.url).port) });
  });
});
