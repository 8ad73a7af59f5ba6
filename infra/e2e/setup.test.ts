import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { childEnvironment } from "../config.ts";
import { kafkaVersion } from "../embedded/kafka-jars.js";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lightning-setup-"));
  folders.push(folder);
  return folder;
}

describe("set-up", () => {
  /** A folder that looks like a clone in which the set-up has run. */
  function clone(): string {
    const root = newFolder();
    const from = fileURLToPath(new URL("../..", import.meta.url));
    mkdirSync(join(root, "infra", "embedded"), { recursive: true });
    for (const file of [
      "setup.js",
      "setup-tools.js",
      "embedded/kafka-jars.js",
      "embedded/pom.xml",
    ]) {
      cpSync(join(from, "infra", file), join(root, "infra", file));
    }
    const jars = join(".lightning", "cache", `kafka-${kafkaVersion}`);
    cpSync(join(from, jars), join(root, jars), { recursive: true, preserveTimestamps: true });
    writeFileSync(join(root, "package.json"), '{"type":"module"}');
    return root;
  }
  const setUp = (root: string, env: Record<string, string> = childEnvironment({})) => {
    const script = join(root, "infra", "setup.js");
    const done = spawnSync(process.execPath, [script], { env, encoding: "utf8" });
    return { status: done.status, said: done.stdout + done.stderr };
  };

  it("says nothing when all is in place, and repairs a jar that was cut short", () => {
    const root = clone();
    assert.deepEqual(setUp(root), { status: 0, said: "" });
    const jar = join(
      root,
      ".lightning",
      "cache",
      `kafka-${kafkaVersion}`,
      `kafka-clients-${kafkaVersion}.jar`,
    );
    const { size } = statSync(jar);
    truncateSync(jar, 1000);
    const { status, said } = setUp(root);
    assert.match(said, /^Kafka's jars are damaged or outdated: fetching them again …\n$/);
    assert.equal(status, 0);
    assert.equal(statSync(jar).size, size);
    assert.deepEqual(setUp(root), { status: 0, said: "" });
  });

  it("without Java names three ways out, and is content with KAFKA_BROKERS", () => {
    const root = clone();
    const { status, said } = setUp(root, { PATH: "/nowhere" });
    assert.equal(status, 1);
    assert.match(said, /install Java[\s\S]*docker compose[\s\S]*KAFKA_BROKERS/);
    assert.doesNotMatch(said, /\n\s+at /);
    const env = { PATH: "/nowhere", KAFKA_BROKERS: "kafka:9092" };
    assert.deepEqual(setUp(root, env), { status: 0, said: "" });
  });

  it("installs the dependencies of a fresh clone, and again when the lock file changes", () => {
    const root = newFolder();
    cpSync(clone(), root, { recursive: true });
    const dependency = { name: "ours", version: "1.0.0", main: "index.js" };
    mkdirSync(join(root, "ours"));
    writeFileSync(join(root, "ours", "package.json"), JSON.stringify(dependency));
    const manifest = { type: "module", dependencies: { ours: "file:ours" } };
    writeFileSync(join(root, "package.json"), JSON.stringify(manifest));
    execFileSync("npm", ["install", "--package-lock-only", "--offline", "--silent"], { cwd: root });
    const env = childEnvironment({ KAFKA_BROKERS: "kafka:9092" });
    assert.match(setUp(root, env).said, /^Installing the dependencies \(npm ci\) …\n$/);
    assert.ok(statSync(join(root, "node_modules", "ours")).isDirectory());
    assert.deepEqual(setUp(root, env), { status: 0, said: "" });
  });
});
