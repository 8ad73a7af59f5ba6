import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TopicFacts } from "../../kafka/inspect.ts";
import { summaryOf } from "../doctor.ts";
import { judgeMigrations } from "./clickhouse.ts";
import { fail, lineOf, ok, warn, withoutPassword, withoutSecrets } from "./finding.ts";
import { judgeClock, judgeTopics } from "./kafka.ts";
import { checkAddresses, checkNode, judgeJava } from "./machine.ts";
import { judgeRegistry } from "./services.ts";

const plan = { name: "spans", partitions: 1, cleanup: "delete" } as const;
const topic: TopicFacts = {
  name: "spans",
  partitions: [{ partition: 0, earliest: 0, latest: 0 }],
  replication: 1,
  cleanup: "delete",
  timestampType: "LogAppendTime",
  maxMessageBytes: 16 * 1024 * 1024,
};

describe("the doctor", () => {
  test("never prints a secret, in an address or in an answer", () => {
    assert.equal(withoutPassword("http://joe:s3cr3t@host:1/x"), "http://host:1/x");
    assert.equal(withoutPassword("http://host:1"), "http://host:1");
    assert.equal(withoutSecrets("login s3cr3t failed", ["", "s3cr3t"]), "login [secret] failed");
  });

  test("writes one line a finding, with what to do", () => {
    assert.equal(lineOf(ok("Node 20")), "ok    Node 20");
    assert.equal(lineOf(fail("a\nb", "do c")), "fail  a\\x0ab  — do c");
    assert.equal(summaryOf([ok("a")]), "all is well");
    assert.equal(summaryOf([ok("a"), warn("b", "c")]), "works; 1 to look at");
    assert.equal(summaryOf([fail("a", "b"), warn("b", "c")]), "1 failed, 1 to look at");
  });

  test("wants Node 20.19 and Java 17", () => {
    assert.equal(checkNode("20.19.0").level, "ok");
    assert.equal(checkNode("24.0.0").level, "ok");
    assert.equal(checkNode("20.18.3").level, "fail");
    assert.equal(judgeJava('openjdk version "17.0.15" 2025-04-15', true).level, "ok");
    assert.equal(judgeJava('openjdk version "21" 2023-09-19', true).level, "ok");
    assert.equal(judgeJava('java version "1.8.0_392"', true).level, "fail");
    assert.equal(judgeJava('openjdk version "17.0.15"', false).level, "warn");
    assert.equal(judgeJava("nonsense", true).level, "fail");
    assert.equal(judgeJava(null, true).level, "fail");
  });

  test("says when the addresses are of a process that has ended", () => {
    assert.equal(checkAddresses("d", { settings: {}, pid: 7, running: true }).level, "ok");
    const stale = checkAddresses("d", { settings: {}, pid: 7, running: false });
    assert.equal(stale.level, "warn");
    assert.match(stale.what, /process 7\) has ended/);
  });

  test("warns of a clock a second off, as far as the round trip lets it know", () => {
    assert.equal(judgeClock({ ms: 900, within: 5 }).level, "ok");
    assert.equal(judgeClock({ ms: -1500, within: 5 }).level, "warn");
    assert.equal(judgeClock({ ms: 1500, within: 600 }).level, "ok");
    assert.equal(judgeClock(null).level, "ok");
  });

  test("fails for topics that are missing or fold a rollout to two places", () => {
    assert.deepEqual(
      judgeTopics([plan], [topic], "").map((f) => f.level),
      ["ok"],
    );
    const [missing] = judgeTopics([plan], [], "dev.");
    assert.equal(missing?.level, "fail");
    assert.match(missing?.what ?? "", /dev\.spans/);
    assert.match(missing?.advice ?? "", /lightning topics --create/);
    const [size] = judgeTopics([{ ...plan, partitions: 4 }], [topic], "");
    assert.match(size?.what ?? "", /spans has 1, configured are 4/);
    assert.match(size?.advice ?? "", /LIGHTNING_PARTITIONS/);
    const [policy] = judgeTopics([{ ...plan, cleanup: "compact" }], [topic], "");
    assert.equal(policy?.level, "fail");
  });

  test("warns of settings that delay timers or refuse large spans", () => {
    const odd = { ...topic, timestampType: "CreateTime", maxMessageBytes: 1_048_588 };
    const findings = judgeTopics([plan], [odd], "");
    assert.deepEqual(
      findings.map((f) => f.level),
      ["warn", "warn"],
    );
    assert.match(findings[1]?.advice ?? "", /max\.message\.bytes=16777216/);
  });

  test("tells migrations that are missing from those of another build", () => {
    const bundled = [
      { version: 1, name: "spans", checksum: "a", statements: [] },
      { version: 2, name: "steps", checksum: "b", statements: [] },
    ];
    const judge = (applied: Parameters<typeof judgeMigrations>[2]) =>
      judgeMigrations("here", "default", applied, bundled).level;
    assert.equal(judge(bundled), "ok");
    assert.equal(judge(bundled.slice(0, 1)), "warn");
    assert.equal(judge(null), "warn");
    assert.equal(judge([{ version: 1, name: "spans", checksum: "z" }]), "fail");
    assert.equal(judge([...bundled, { version: 3, name: "new", checksum: "c" }]), "fail");
  });

  test("warns of a registry that would take an incompatible schema", () => {
    assert.equal(judgeRegistry("r", 3, null, "BACKWARD_TRANSITIVE")[0]?.level, "ok");
    assert.equal(judgeRegistry("r", 3, "7.6.0", "NONE")[0]?.level, "warn");
    assert.equal(judgeRegistry("r", 3, null, null)[0]?.level, "warn");
  });
});
