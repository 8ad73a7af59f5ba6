import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { mergeConfig, readAddresses, removeAddresses, writeAddresses } from "./addresses.ts";

const folder = mkdtempSync(join(tmpdir(), "lightning-addresses-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const settings = { KAFKA_BROKERS: "127.0.0.1:9", CLICKHOUSE_URL: "http://127.0.0.1:8" };
const invalid = (pattern: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, "config-invalid");
  assert.match((error as Error).message, pattern);
  return true;
};

describe("addresses of a running lightning up", () => {
  test("are read back by others as long as their writer runs", () => {
    const dir = join(folder, "written", "data");
    writeAddresses(dir, settings);
    assert.deepEqual(readAddresses(dir), { settings, pid: process.pid, running: true });
    removeAddresses(dir);
    assert.equal(readAddresses(dir), undefined);
  });

  test("hold no secret and are for their owner alone", () => {
    const dir = join(folder, "secret");
    writeAddresses(dir, { ...settings, CLICKHOUSE_PASSWORD: "s3cr3t", OPENAI_API_KEY: "sk-1" });
    const file = join(dir, "addresses.json");
    assert.doesNotMatch(readFileSync(file, "utf8"), /s3cr3t|sk-1/);
    assert.equal(statSync(file).mode & 0o077, 0);
  });

  test("of an ended process, and of another with its number, are not used", () => {
    const dir = join(folder, "stale");
    writeAddresses(dir, settings);
    const file = join(dir, "addresses.json");
    const { pid } = spawnSync("true");
    const written = JSON.parse(readFileSync(file, "utf8"));
    for (const stale of [
      { pid, started: "1" },
      { pid: process.pid, started: "1" },
    ]) {
      writeFileSync(file, JSON.stringify({ ...written, ...stale }));
      const known = readAddresses(dir);
      assert.equal(known?.running, false);
      assert.throws(
        () => mergeConfig(dir, ["KAFKA_BROKERS"], {}, known),
        invalid(new RegExp(`KAFKA_BROKERS.*process ${stale.pid}\\) has ended.*lightning up`)),
      );
    }
  });

  test("of another running process are not overwritten", () => {
    const dir = join(folder, "used");
    writeAddresses(dir, settings);
    const file = join(dir, "addresses.json");
    const parent = readFileSync(`/proc/${process.ppid}/stat`, "utf8");
    const started = parent.slice(parent.lastIndexOf(")") + 2).split(" ")[19];
    writeFileSync(file, JSON.stringify({ settings, pid: process.ppid, started }));
    assert.throws(() => writeAddresses(dir, settings), /in use by process \d+/);
    removeAddresses(dir);
    assert.equal(readAddresses(dir)?.running, true);
  });

  test("that are damaged are named with the way out", () => {
    const dir = join(folder, "damaged");
    writeAddresses(dir, settings);
    for (const text of ["{", "null", '{"settings": 3}', '{"settings": {}, "pid": "x"}']) {
      writeFileSync(join(dir, "addresses.json"), text);
      assert.throws(() => readAddresses(dir), invalid(/addresses\.json cannot be read.*remove it/));
    }
  });
});

describe("configuration of a command", () => {
  const known = { settings, pid: 1, running: true };

  test("takes the environment before the addresses, and an empty variable as none", () => {
    const environment = { KAFKA_BROKERS: "other:1", CLICKHOUSE_URL: "" };
    const values = mergeConfig("d", ["KAFKA_BROKERS"], environment, known);
    assert.equal(values.KAFKA_BROKERS, "other:1");
    assert.equal(values.CLICKHOUSE_URL, "http://127.0.0.1:8");
  });

  test("says what to do when an address is nowhere", () => {
    const ask = () => mergeConfig("d", ["LIGHTNING_URL"], {}, known);
    assert.throws(ask, invalid(/LIGHTNING_URL is not set.*does not say.*lightning up.*--data/));
    const none = () => mergeConfig("d", ["KAFKA_BROKERS"], {}, undefined);
    assert.throws(none, invalid(/no `lightning up` runs with the data folder d/));
  });
});
