import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { removeEmbeddedData } from "../embedded/fresh.ts";
import { type Kafka, startKafka } from "../embedded/kafka.ts";
import { kafkaJarsDir, kafkaVersion } from "../embedded/kafka-jars.js";
import { findProcess } from "../embedded/owner.ts";
import { createKafkaClient } from "../kafka/client.ts";

const log = pino({ level: "silent" });
const folders: string[] = [];
/** What a failed test may have left running. */
const running: (() => unknown)[] = [];
after(async () => {
  for (const end of running) await end();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lightning-embedded-"));
  folders.push(folder);
  return folder;
}

async function start(dataDir: string, port = 0): Promise<Kafka> {
  const kafka = await startKafka({ dataDir, jarsDir: kafkaJarsDir, log, port });
  running.push(kafka.stop);
  return kafka;
}

function clientOf(brokers: string) {
  return createKafkaClient(
    {
      brokers: [brokers],
      clientId: "embedded-test",
      prefix: "",
      compression: "none",
      sessionTimeoutMs: 6000,
      transactionTimeoutMs: 15_000,
    },
    log,
  ).kafkajs;
}

/** The first result that is none of the errors of a topic that is just being made. */
async function eventually<R>(ask: () => Promise<R>): Promise<R> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 100) throw error;
    }
    await sleep(50);
  }
}

/** Writes one record to `facts` in a transaction and says how many there are. */
async function write(brokers: string): Promise<number> {
  const kafka = clientOf(brokers);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    topics: [{ topic: "facts", numPartitions: 1 }],
    waitForLeaders: false,
  });
  const ends = async () => Number((await admin.fetchTopicOffsets("facts"))[0]?.offset);
  const before = await eventually(ends);
  const producer = kafka.producer({
    transactionalId: "t",
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const transaction = await producer.transaction();
  await transaction.send({ topic: "facts", messages: [{ value: "x" }] });
  await transaction.sendOffsets({
    consumerGroupId: "g",
    topics: [{ topic: "facts", partitions: [{ partition: 0, offset: "0" }] }],
  });
  await transaction.commit();
  // A commit is answered before its marker is written.
  let end = await ends();
  for (let tries = 0; end === before && tries < 100; tries++) {
    await sleep(50);
    end = await ends();
  }
  await producer.disconnect();
  await admin.disconnect();
  // A transaction takes two offsets: its record's and its marker's.
  return end / 2;
}

/** Runs a module of ours in a process of its own until it prints a line, and gives the line. */
async function runUntilLine(code: string): Promise<{ child: ChildProcess; line: string }> {
  const loader = import.meta.resolve("tsx");
  const child = spawn(process.execPath, ["--import", loader, "--input-type=module", "-e", code], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: ["ignore", "pipe", "inherit"],
  });
  running.push(() => child.kill("SIGKILL"));
  const line = await new Promise<string>((done, fail) => {
    child.stdout.once("data", (bytes) => done(String(bytes).trim()));
    child.once("exit", (code) => fail(new Error(`exited with ${code}`)));
  });
  return { child, line };
}

function kill9(child: ChildProcess): Promise<unknown> {
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGKILL");
  return gone;
}

async function waitFor(what: () => boolean, ms = 10_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!what()) {
    assert.ok(Date.now() < deadline, "waited too long");
    await sleep(50);
  }
}

const imports = `
  import { pino } from "pino";
  import { startKafka } from "./infra/embedded/kafka.ts";
  import { launchClickHouse } from "./infra/embedded/clickhouse-process.ts";
  import { kafkaJarsDir } from "./infra/embedded/kafka-jars.js";
  const log = pino({ level: "silent" });
`;

describe("embedded kafka", () => {
  it("serves a transaction as soon as it has started, and keeps its records over a stop", async () => {
    const folder = newFolder();
    const first = await start(folder);
    assert.equal(first.version, kafkaVersion);
    assert.equal(await write(first.brokers), 1);
    await first.stop();
    assert.equal(findProcess(first.pid), undefined);
    const second = await start(folder);
    assert.equal(await write(second.brokers), 2);
    await second.stop();
  });

  it("is taken over, running, after its parent was killed", async () => {
    const folder = newFolder();
    const { child, line } = await runUntilLine(`${imports}
      const kafka = await startKafka({ dataDir: ${JSON.stringify(folder)}, jarsDir: kafkaJarsDir, log });
      console.log(JSON.stringify({ brokers: kafka.brokers, pid: kafka.pid }));
      setInterval(() => {}, 1000);
    `);
    const orphan = JSON.parse(line);
    assert.equal(await write(orphan.brokers), 1);
    await assert.rejects(start(folder), {
      code: "data-folder-locked",
      message: new RegExp(` ${child.pid}:`),
    });
    await kill9(child);
    const heir = await start(folder);
    assert.equal(heir.pid, orphan.pid);
    assert.equal(await write(heir.brokers), 2);
    await heir.stop();
    assert.equal(findProcess(orphan.pid), undefined);
  });

  it("is ended, and its data removed, for a fresh start after its parent was killed", async () => {
    const folder = newFolder();
    const { child, line } = await runUntilLine(`${imports}
      const kafka = await startKafka({ dataDir: ${JSON.stringify(folder)}, jarsDir: kafkaJarsDir, log });
      console.log(JSON.stringify({ pid: kafka.pid }));
    `);
    await kill9(child);
    await removeEmbeddedData(folder);
    assert.equal(findProcess(JSON.parse(line).pid), undefined);
    assert.deepEqual(readdirSync(folder), []);
  });

  it("recovers after it was killed itself, and says that it ended", async () => {
    const folder = newFolder();
    const broker = await start(folder);
    assert.equal(await write(broker.brokers), 1);
    process.kill(broker.pid, "SIGKILL");
    await broker.exited;
    const again = await start(folder, Number(broker.brokers.split(":")[1]));
    assert.equal(again.brokers, broker.brokers);
    assert.equal(await write(again.brokers), 2);
    await again.stop();
  });

  it("names a taken port and who has it", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    await assert.rejects(start(newFolder(), port), {
      code: "port-in-use",
      message: new RegExp(
        `port ${port}, wanted for Kafka, is in use by .* \\(pid ${process.pid}\\)`,
      ),
    });
    server.close();
  });

  it("refuses data that a newer Kafka or another cluster made", async () => {
    const folder = newFolder();
    await (await start(folder)).stop();
    const file = join(folder, "kafka", "format.json");
    const made = JSON.parse(readFileSync(file, "utf8"));
    const incompatible = { code: "data-folder-incompatible" };
    writeFileSync(file, JSON.stringify({ ...made, version: "99.0.0" }));
    await assert.rejects(start(folder), { ...incompatible, message: /made by Kafka 99\.0\.0/ });
    writeFileSync(file, JSON.stringify({ ...made, clusterId: "x" }));
    await assert.rejects(start(folder), { ...incompatible, message: /another Kafka cluster/ });
  });

  it("formats again what was cut short, and shows the end of its log when it cannot start", async () => {
    const folder = newFolder();
    mkdirSync(join(folder, "kafka", "log.partial", "__cluster_metadata-0"), { recursive: true });
    const options = { dataDir: folder, jarsDir: kafkaJarsDir, log };
    await assert.rejects(startKafka({ ...options, heapMb: 1 }), {
      code: "embedded-start-failed",
      message: /heap/i,
    });
    await (await start(folder)).stop();
  });
});

describe("embedded clickhouse", () => {
  it("ends with its killed parent, and the next one gets the folder and the rows", async () => {
    const folder = newFolder();
    const code = `${imports}
      const server = await launchClickHouse({ dataDir: ${JSON.stringify(folder)}, port: 0, log });
      console.log(JSON.stringify({ url: server.url, pid: server.pid }));
    `;
    const first = await runUntilLine(code);
    const { url, pid } = JSON.parse(first.line);
    const post = (body: string, to = url) =>
      fetch(to, { method: "POST", body }).then((r) => r.text());
    await post("CREATE TABLE t (a UInt8) ENGINE MergeTree ORDER BY a");
    await post("INSERT INTO t VALUES (7)");
    await kill9(first.child);
    const second = await runUntilLine(code);
    const heir = JSON.parse(second.line);
    assert.equal(await post("SELECT a FROM t", heir.url), "7\n");
    assert.equal(findProcess(pid), undefined);
    await kill9(second.child);
    await waitFor(() => findProcess(heir.pid) === undefined);
  });
});
