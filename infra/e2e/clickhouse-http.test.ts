import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { startClickHouseServer } from "../embedded/clickhouse.ts";
import { launchClickHouse } from "../embedded/clickhouse-process.ts";
import { clickhouse, newTable, raw, rows } from "./clickhouse-front.ts";

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

describe("clickhouse front, spoken to by hand", () => {
  it("answers health checks and refuses unknown paths", async () => {
    for (const path of ["/", "/ping", "/replicas_status"]) {
      assert.equal(await (await fetch(clickhouse.url() + path)).text(), "Ok.\n");
    }
    assert.equal((await fetch(`${clickhouse.url()}/nowhere`)).status, 404);
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
    assert.deepEqual(readdirSync(join(clickhouse.folder, "clickhouse", "incoming")), []);
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
    const answer = await new Promise<Buffer>((done, fail) => {
      const path = `/?${new URLSearchParams({ query: big, enable_http_compression: "1" })}`;
      request(
        new URL(path, clickhouse.url()),
        { headers: { "accept-encoding": "gzip" } },
        (response) => {
          assert.equal(response.headers["content-encoding"], "gzip");
          response.toArray().then((chunks) => done(Buffer.concat(chunks)), fail);
        },
      ).end();
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
    assert.deepEqual(readdirSync(join(clickhouse.folder, "clickhouse", "incoming")), []);
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

describe("clickhouse data folder", () => {
  it("is used by one server at a time, and says who has it", async () => {
    await assert.rejects(startClickHouseServer(clickhouse.options), {
      code: "data-folder-locked",
      message: new RegExp(`in use by process ${process.pid}`),
    });
  });

  it("a server of its own process names a taken port, and stops when asked", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "lightning-clickhouse-"));
    const port = Number(new URL(clickhouse.url()).port);
    await assert.rejects(launchClickHouse({ dataDir, port, log: clickhouse.log }), {
      code: "port-in-use",
      message: new RegExp(
        `port ${port}, wanted for ClickHouse, is in use by .* \\(pid ${process.pid}\\)`,
      ),
    });
    const launched = await launchClickHouse({ dataDir, port: 0, log: clickhouse.log });
    assert.equal(await (await fetch(`${launched.url}/?query=SELECT+1`)).text(), "1\n");
    await launched.stop();
    assert.equal(await launched.exited, "exited with 0");
    rmSync(dataDir, { recursive: true });
  });

  it("keeps its rows over a restart, drops unfinished inserts, and is refused when it is newer", async () => {
    const table = await newTable();
    await clickhouse
      .client()
      .insert({ table, values: [{ a: 7, s: "kept" }], format: "JSONEachRow" });
    await clickhouse.stop();
    writeFileSync(join(clickhouse.folder, "clickhouse", "incoming", "left.data"), "x");
    await clickhouse.start();
    assert.deepEqual(await rows(`SELECT s FROM ${table}`), [{ s: "kept" }]);
    assert.deepEqual(readdirSync(join(clickhouse.folder, "clickhouse", "incoming")), []);
    await clickhouse.stop();
    writeFileSync(join(clickhouse.folder, "clickhouse", "version"), "99.1.2\n");
    await assert.rejects(startClickHouseServer(clickhouse.options), {
      code: "data-folder-incompatible",
    });
    rmSync(join(clickhouse.folder, "clickhouse", "version"));
    await clickhouse.start();
  });
});
