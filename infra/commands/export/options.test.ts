import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readExportOptions } from "./options.ts";
import { progressLine } from "./progress.ts";
import { wrong } from "./testing.ts";

describe("options", () => {
  const read = (...args: string[]) => readExportOptions(args, 1_000_000);

  test("are refused with what was read and what is allowed", () => {
    assert.throws(() => read(), wrong(/read nothing, allowed are transitions, rows/));
    assert.throws(() => read("steps"), wrong(/"steps".*preferences, messages/));
    assert.throws(() => read("rows", "--format", "csv"), wrong(/--format is "csv".*parquet/));
    assert.throws(() => read("rows", "--format", "parquet"), wrong(/needs --out/));
    assert.throws(() => read("rows", "--resume"), wrong(/--resume needs --out/));
    assert.throws(() => read("rows", "--min-reward", "high"), wrong(/--min-reward is "high"/));
    assert.throws(() => read("rows", "--policy-version", "5..3"), wrong(/3\.\.5/));
    assert.throws(() => read("rows", "--since", "yesterday"), wrong(/--since is "yesterday".*24h/));
    assert.throws(() => read("rows", "--min-reward", "2", "--max-reward", "1"), wrong(/above/));
    assert.throws(() => read("rows", "--project", "a/b"), wrong(/--project/));
    assert.throws(() => read("preferences", "--margin", "0"), wrong(/--margin is 0/));
  });

  test("read ages and times, UTC unless they say otherwise", () => {
    assert.equal(read("rows", "--since", "1m").filter.since, (1_000_000 - 60_000) * 1000);
    assert.equal(read("rows", "--since", "1970-01-02").filter.since, 86_400_000_000);
    assert.equal(read("rows", "--until", "1970-01-01 01:00").filter.until, 3_600_000_000);
    assert.equal(read("rows", "--until", "1970-01-01T01:00+01:00").filter.until, 0);
  });

  test("take the format from the name of the file", () => {
    assert.equal(read("rows", "--out", "x.parquet").format, "parquet");
    assert.equal(read("rows", "--out", "x.jsonl").format, "jsonl");
  });
});

test("progress says how far it is, how fast and how long it takes", () => {
  const line = progressLine({ done: 600, total: 1000, begun: 200, records: 77, seconds: 4 });
  assert.match(line, /^\[█{14}░{10}\] {2}60 % {2}77 records {2}100 transitions\/s {2}4 s left$/);
  const none = progressLine({ done: 0, total: 0, begun: 0, records: 0, seconds: 0 });
  assert.match(none, /100 %/);
});
