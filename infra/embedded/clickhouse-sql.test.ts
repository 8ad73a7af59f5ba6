import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { insertFromFile, quote, readStatement } from "./clickhouse-sql.ts";

/** The statement that the engine gets for an INSERT, and the data that goes into the file. */
function split(sql: string): readonly [string, string] | undefined {
  const { insert } = readStatement(sql);
  if (insert === undefined) return undefined;
  const statement = insertFromFile(sql, insert, "/f").replace(/\s+/g, " ").trim();
  return [statement, sql.slice(insert.dataStart)];
}

describe("statement", () => {
  it("an INSERT is cut where its data begins", () => {
    const cases: readonly (readonly [string, string, string])[] = [
      ["INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t FROM INFILE '/f' FORMAT CSV", "1,2"],
      ["INSERT INTO t VALUES (1)", "INSERT INTO t FROM INFILE '/f' FORMAT Values", " (1)"],
      [
        "insert into t (a, `b)`) format TSV 1",
        "insert into t (a, `b)`) FROM INFILE '/f' FORMAT TSV",
        "1",
      ],
      ["INSERT INTO t", "INSERT INTO t FROM INFILE '/f' FORMAT Values", ""],
      [
        "/* FORMAT x */ INSERT INTO TABLE d.format SETTINGS a='FORMAT b' FORMAT JSONEachRow {}",
        "/* FORMAT x */ INSERT INTO TABLE d.format FROM INFILE '/f' SETTINGS a='FORMAT b' FORMAT JSONEachRow",
        "{}",
      ],
      [
        "INSERT INTO FUNCTION file('x', 'CSV') VALUES (1)",
        "INSERT INTO FUNCTION file('x', 'CSV') FROM INFILE '/f' FORMAT Values",
        " (1)",
      ],
      [
        "INSERT INTO t SELECT a FROM input('a UInt8') WHERE a FORMAT CSV\n1",
        "INSERT INTO t SELECT a FROM file('/f', 'CSV', 'a UInt8') WHERE a",
        "1",
      ],
    ];
    for (const [sql, statement, data] of cases) assert.deepEqual(split(sql), [statement, data]);
  });

  it("an INSERT without data of its own stays as it is", () => {
    for (const sql of ["INSERT INTO t SELECT 1", "INSERT INTO t SELECT format, values FROM u"]) {
      assert.equal(split(sql), undefined);
    }
  });

  it("data is never read as SQL, whatever it holds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (data) => {
        const sql = `INSERT INTO t FORMAT LineAsString\n${data}`;
        assert.deepEqual(split(sql), ["INSERT INTO t FROM INFILE '/f' FORMAT LineAsString", data]);
      }),
    );
  });

  it("a second statement is seen behind any literal and comment, and nowhere else", () => {
    const literal = fc.string({ unit: "binary" }).map(quote);
    const comment = fc.string().map((text) => `/*${text.replaceAll("*/", "")}*/`);
    fc.assert(
      fc.property(fc.array(fc.oneof(literal, comment), { maxLength: 5 }), (parts) => {
        const sql = `SELECT ${["1", ...parts].join(" ")} `;
        assert.equal(readStatement(sql).second, undefined);
        assert.equal(readStatement(`${sql}; -- end\n`).second, undefined);
        assert.equal(readStatement(`${sql}; DROP TABLE t`).second, sql.length + 2);
      }),
    );
  });

  it("knows the format, files to refuse, and what must not be streamed", () => {
    assert.equal(readStatement("SELECT 'FORMAT x', format FROM t FORMAT JSON").format, "JSON");
    assert.equal(readStatement("SELECT 1 INTO OUTFILE 'x'").intoOutfile, true);
    assert.equal(readStatement("INSERT INTO t FROM INFILE 'x' FORMAT CSV").intoOutfile, true);
    assert.equal(readStatement("SELECT * FROM t").streamable, true);
    assert.equal(readStatement("SELECT (SELECT 1)").streamable, false);
    assert.equal(readStatement("WITH (SELECT 1) AS x SELECT x").streamable, false);
  });
});
