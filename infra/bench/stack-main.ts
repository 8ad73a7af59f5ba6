/**
 * The process in the place of `lightning up`: it starts the engines, serves the registry and
 * supervises processes of roles, so that what it costs is counted as what `up` costs.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { childEnvironment, kafkaSettings, readConfig } from "../config.ts";
import { launchClickHouse } from "../embedded/clickhouse-process.ts";
import { startKafka } from "../embedded/kafka.ts";
import { kafkaJarsDir } from "../embedded/kafka-jars.js";
import { buildRegistry } from "../embedded/registry.ts";
import { createKafkaClient } from "../kafka/client.ts";
import { createSchemasLog, ensureSchemasTopic } from "../kafka/schemas-log.ts";
import { createLog } from "../log.ts";
import { setNice } from "../process-priority.ts";
import { listen } from "../roles.ts";
import type { RolesMessage } from "../run-roles.ts";
import { nodeFlags } from "../supervise.ts";
import { answerParent } from "./child.ts";
import type { Group, Settings, StackAnswer, StackQuestion } from "./stack.ts";

const logger = createLog("warn", "bench");
const pids: Record<string, number> = {};
const groups = new Map<string, ChildProcess>();
const stops: (() => Promise<unknown>)[] = [];
let engines: Settings = {};
let profileFlags: readonly string[] = [];

async function startEngines(dataDir: string): Promise<void> {
  const [kafka, clickhouse] = await Promise.all([
    startKafka({ dataDir, jarsDir: kafkaJarsDir, port: 0, log: logger }),
    launchClickHouse({ dataDir, port: 0, log: logger }),
  ]);
  stops.push(kafka.stop, clickhouse.stop);
  pids.broker = kafka.pid;
  pids.clickhouse = clickhouse.pid;
  engines = { KAFKA_BROKERS: kafka.brokers, CLICKHOUSE_URL: clickhouse.url };
  const client = createKafkaClient(kafkaSettings(readConfig(engines), "bench-registry"), logger);
  await ensureSchemasTopic(client, 1);
  const app = await buildRegistry({ log: createSchemasLog(client), logger });
  stops.push(() => app.close());
  engines = { ...engines, SCHEMA_REGISTRY_URL: await listen(app, "127.0.0.1", 0) };
}

async function start(group: Group, settings: Settings): Promise<Readonly<Record<string, string>>> {
  if (groups.has(group.name)) throw new Error(`${group.name} runs already`);
  const own = group.plain === true ? "plain-folds.ts" : "../lightning.js";
  const ports = group.roles.includes("gateway") ? ["--port", "0", "--trainer-port", "0"] : [];
  const child = fork(fileURLToPath(new URL(own, import.meta.url)), [...group.roles, ...ports], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    env: childEnvironment({ ...engines, ...settings }),
    execArgv: [...(own.endsWith(".ts") ? process.execArgv : []), ...nodeFlags, ...profileFlags],
    detached: true,
  });
  groups.set(group.name, child);
  pids[group.name] = child.pid ?? 0;
  if (group.nice !== undefined && child.pid !== undefined) setNice(child.pid, group.nice);
  return new Promise((resolve, reject) => {
    child.on("message", (message: RolesMessage) => {
      if ("ready" in message) resolve(message.ready as Record<string, string>);
      else reject(new Error(`${group.name}: ${message.failed.message}`));
    });
    child.once("exit", (code, signal) =>
      reject(new Error(`${group.name} ended with ${signal ?? code} before it was ready`)),
    );
  });
}

async function stop(name: string): Promise<void> {
  const child = groups.get(name);
  groups.delete(name);
  delete pids[name];
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await gone;
  clearTimeout(timer);
}

async function close(): Promise<void> {
  await Promise.all([...groups.keys()].map(stop));
  for (const one of stops.splice(0).reverse()) await one().catch(() => undefined);
}

async function answer(question: StackQuestion): Promise<StackAnswer> {
  let addresses: Readonly<Record<string, string>> = {};
  if (question.ask === "engines") {
    const { profileDir } = question;
    profileFlags = profileDir === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`];
    await startEngines(question.dataDir);
  } else if (question.ask === "start") addresses = await start(question.group, question.settings);
  else if (question.ask === "stop") await stop(question.group.name);
  else await close();
  return { settings: engines, pids: { ...pids }, addresses };
}

answerParent(answer, close);
