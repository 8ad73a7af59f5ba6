import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import fc from "fast-check";
import { clickhouse, newTable, raw, rows } from "./clickhouse-front.ts";

describe("clickhouse front, through @clickhouse/client", () => {
  it("answers a ping and a query with parameters", async () => {
    assert.equal((await clickhouse.client().ping()).success, true);
    assert.equal((await clickhouse.client().ping({ select: true })).success, true);
    const result = await clickhouse.client().query({
      query: "SELECT {text:String} AS text, {list:Array(UInt8)} AS list, {n:Nullable(Int64)} AS n",
      query_params: { text: "it's\t\\ \n'; DROP", list: [1, 2], n: null },
      format: "JSONEachRow",
    });
    assert.deepEqual(await result.json(), [{ text: "it's\t\\ \n'; DROP", list: [1, 2], n: null }]);
  });

  it("takes long parameters in a multipart body", async () => {
    const result = await clickhouse.client().query({
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
          const inserted = await clickhouse
            .client()
            .insert({ table, values, format: "JSONEachRow" });
          if (texts.length > 0) assert.equal(inserted.summary?.written_rows, String(texts.length));
          assert.deepEqual(await rows(`SELECT a, s FROM ${table} ORDER BY a`), values);
          await clickhouse.client().command({ query: `DROP TABLE ${table}` });
        },
      ),
      { numRuns: 20 },
    );
  });

  it("takes an insert and gives a result as streams", async () => {
    const table = await newTable();
    const values = Readable.from(Array.from({ length: 30_000 }, (_, a) => ({ a, s: String(a) })));
    await clickhouse.client().insert({ table, values, format: "JSONEachRow" });
    let seen = 0;
    const result = await clickhouse
      .client()
      .query({ query: `SELECT * FROM ${table}`, format: "JSONEachRow" });
    for await (const chunk of result.stream()) seen += chunk.length;
    assert.equal(seen, 30_000);
  });

  it("an insert repeated with its token is not stored again, in views neither", async () => {
    const table = await newTable();
    const view = await newTable("a UInt64");
    await clickhouse.client().command({
      query: `CREATE MATERIALIZED VIEW ${view}_mv TO ${view} AS SELECT a FROM ${table}`,
    });
    const insert = (token: string) =>
      clickhouse.client().insert({
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
    const limited = clickhouse.client().query({
      query: "SELECT number FROM numbers(1000)",
      clickhouse_settings: { max_result_rows: "10" },
    });
    await assert.rejects(limited, { code: "396" });
    assert.equal((await rows("SELECT number FROM numbers(1000)")).length, 1000);
    const slow = clickhouse.client().query({
      query: "SELECT count() FROM numbers(100000000000) WHERE number % 7 = 3",
      clickhouse_settings: { max_execution_time: 1 },
    });
    await assert.rejects(slow, { code: "159" });
  });

  it("readonly refuses to write a table, to read a file, and to be undone", async () => {
    const table = await newTable();
    const clickhouse_settings = { readonly: "1" };
    const insert = clickhouse.client().insert({
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
      await assert.rejects(
        clickhouse.client().exec({ query, clickhouse_settings }),
        { code: "164" },
        query,
      );
    }
  });

  it("an error names its code, also in the middle of a stream", async () => {
    await assert.rejects(clickhouse.client().query({ query: "SELECT * FROM nowhere" }), {
      code: "60",
      type: "UNKNOWN_TABLE",
    });
    await assert.rejects(clickhouse.client().query({ query: "SELEC 1" }), { code: "62" });
    const result = await clickhouse.client().query({
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
    assert.equal((await clickhouse.client().ping()).success, true);
    await clickhouse.client().insert({ table, values: [{ a: 1, s: "x" }], format: "JSONEachRow" });
    assert.ok(performance.now() - before < 3000);
    stop.abort();
    await Promise.all(busy);
    // Cancelled in the engine, too: readers are free again.
    assert.deepEqual(await rows(`SELECT a FROM ${table}`), [{ a: 1 }]);
  });

  it("concurrent statements never see each other's parameters or settings", async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const result = await clickhouse.client().query({
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
