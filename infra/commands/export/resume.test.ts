import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ClickHouseClient } from "../../../sinks/clickhouse/client.ts";
import { readExportOptions } from "./options.ts";
import { type Output, type Position, parquetFolder } from "./output.ts";
import { type ExportBench, openExportBench, wrong } from "./testing.ts";

let bench: ExportBench;
before(async () => {
  bench = await openExportBench();
});
after(() => bench.close());

describe("an export that is cut off", () => {
  /** The client, until so many queries have been answered. */
  function failingAfter(queries: number): ClickHouseClient {
    let left = queries;
    return new Proxy(bench.client, {
      get(client, name) {
        const value: unknown = Reflect.get(client, name);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if ((name === "query" || name === "exec") && left-- <= 0) throw new Error("cut");
          return Reflect.apply(value, client, args);
        };
      },
    });
  }

  for (const format of ["jsonl", "parquet"]) {
    test(`goes on to the same bytes wherever it was cut (${format})`, async () => {
      const project = `cut-${format}`;
      // Each group says it is as large as a page, so that each is one.
      for (let i = 0; i < 6; i++) {
        await bench.group(project, `g${i}`, [{ advantage: i }, {}], { transitions: 2000 });
      }
      const args = ["transitions", "--format", format];
      await bench.run(project, [...args, "--out", bench.path(`${project}-whole`)]);
      const whole = contents(bench.path(`${project}-whole`));
      for (let queries = 0; queries < 10; queries++) {
        const out = bench.path(`${project}-${queries}`);
        await assert.rejects(bench.run(project, [...args, "--out", out], failingAfter(queries)));
        assert.ok(!existsSync(out));
        // What kill -9 leaves: half a line behind the last place that was noted.
        if (format === "jsonl" && existsSync(`${out}.part`)) appendFileSync(`${out}.part`, '{"hal');
        await bench.run(project, [...args, "--out", out, "--resume"]);
        assert.deepEqual(contents(out), whole, `cut at query ${queries}`);
        assert.ok(!existsSync(`${out}.part`) && !existsSync(`${out}.part.json`));
        await bench.run(project, [...args, "--out", out, "--resume"]);
      }
    });
  }

  function contents(out: string): string[] {
    const files = out.includes("parquet") ? readdirSync(out).sort() : [""];
    return files.map((name) => readFileSync(join(out, name)).toString("base64"));
  }

  test("Parquet files that were whole are kept, the others written again", async () => {
    const lines = Array.from({ length: 12 }, (_, i) => JSON.stringify(String(i).repeat(3_000_000)));
    const encode = async (text: string): Promise<Buffer> => Buffer.from(text);
    const at = (records: number) => ({
      ...{ call: {}, filter: readExportOptions(["rows"], 0).filter, ends: {} },
      ...{ after: null, groups: 0, transitions: 0, records, skipped: {} },
    });
    const fill = async (out: string, begun: Position | null, until: number): Promise<Output> => {
      const output = await parquetFolder(out, begun, encode);
      if (begun === null) await output.reached(at(0));
      for (let i = begun?.records ?? 0; i < until; i++) {
        await output.append(lines[i] ?? "");
        if (i % 3 === 2) await output.reached(at(i + 1));
      }
      return output;
    };
    await (await fill(bench.path("parts-parquet"), null, 12)).finish();
    const whole = contents(bench.path("parts-parquet"));
    assert.ok(whole.length > 2, `${whole.length} files`);
    for (const cut of [2, 5, 10, 12]) {
      const out = bench.path(`parts-parquet-${cut}`);
      await fill(out, null, cut);
      const note = JSON.parse(readFileSync(`${out}.part.json`, "utf8")) as Position;
      assert.equal(note.written > 0, cut > 4, "some files are whole");
      await (await fill(out, note, 12)).finish();
      assert.deepEqual(contents(out), whole, `cut behind record ${cut}`);
    }
  });

  test("leaves out what came in since it began, and wants the same call", async () => {
    await bench.group("grown", "b", [{}], { transitions: 2000 });
    await bench.group("grown", "c", [{}], { transitions: 2000 });
    const out = bench.path("grown");
    const args = ["transitions", "--out", out, "--since", "9000d"];
    await assert.rejects(bench.run("grown", args, failingAfter(4)));
    await bench.group("grown", "d", [{}]);
    await bench.group("grown", "c", [{ advantage: 9, revision: 1 }], { revision: 1 });
    await assert.rejects(bench.run("grown", args), wrong(/grown\.part.*--resume/));
    const other = [...args.slice(0, -1), "9001d", "--resume"];
    await assert.rejects(bench.run("grown", other), wrong(/since was 9000d.*is 9001d/));
    await assert.rejects(bench.run("other", [...args, "--resume"]), wrong(/project was grown/));
    await bench.run("grown", [...args, "--resume"]);
    const lines = readFileSync(out, "utf8")
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text));
    assert.deepEqual(
      lines.map(({ group_id, revision }) => [group_id, revision]),
      [
        ["b", 0],
        ["c", 0],
      ],
    );
    await assert.rejects(bench.run("grown", args), wrong(/grown exists/));
  });
});
