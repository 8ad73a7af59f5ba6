import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectClickHouse } from "../../sinks/clickhouse/client.ts";
import { migrate } from "../../sinks/clickhouse/migrate.ts";
import {
  childEnvironment,
  kafkaSettings,
  readConfig,
  type Values,
  type VariableName,
} from "../config.ts";
import { type Context, createContext } from "../context.ts";
import { type ClickHouseProcess, launchClickHouse } from "../embedded/clickhouse-process.ts";
import { type Kafka, startKafka } from "../embedded/kafka.ts";
import { kafkaJarsDir } from "../embedded/kafka-jars.js";
import { buildRegistry } from "../embedded/registry.ts";
import { ensureTopics, planTopics } from "../kafka/admin.ts";
import { createKafkaClient } from "../kafka/client.ts";
import { createSchemasLog, ensureSchemasTopic } from "../kafka/schemas-log.ts";
import { createLog } from "../log.ts";
import { listen, partitionCounts, type RoleName, readers } from "../roles.ts";

const launcher = fileURLToPath(new URL("../lightning.js", import.meta.url));

/** A real broker, a real ClickHouse and a registry, in a folder of their own. */
export type Stack = {
  readonly settings: Partial<Record<VariableName, string>>;
  readonly values: Values;
  readonly context: Context;
  readonly dataDir: string;
  kafka: Kafka;
  clickhouse: ClickHouseProcess;
  /** Ends the broker with SIGKILL and starts it again on the same port and data. */
  restartKafka(): Promise<void>;
  stopClickHouse(): Promise<void>;
  startClickHouse(): Promise<void>;
  /** Paths the registry was asked for. */
  readonly askedOfRegistry: string[];
  stopRegistry(): Promise<void>;
  startRegistry(): Promise<void>;
  close(): Promise<void>;
};

/** The folds are to notice a dead member soon. */
const sessionTimeoutMs = "3000";

export async function startStack(
  extra: Partial<Record<VariableName, string>> = {},
): Promise<Stack> {
  const dataDir = mkdtempSync(join(tmpdir(), "lightning-e2e-"));
  const log = createLog("error", "e2e");
  const jars = { dataDir, jarsDir: kafkaJarsDir, log };
  const [kafka, clickhouse] = await Promise.all([
    startKafka({ ...jars, port: 0 }),
    launchClickHouse({ dataDir, port: 0, log }),
  ]);
  const settings: Partial<Record<VariableName, string>> = {
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_SESSION_TIMEOUT_MS: sessionTimeoutMs,
    KAFKA_TRANSACTION_TIMEOUT_MS: "10000",
    CLICKHOUSE_URL: clickhouse.url,
    LIGHTNING_LOG_LEVEL: "error",
    LIGHTNING_PARTITIONS: "2",
    ...extra,
  };
  const early = readConfig(settings);
  const client = createKafkaClient(kafkaSettings(early, "e2e"), log);
  await ensureTopics(client, planTopics(partitionCounts(early), readers), 1);
  await ensureSchemasTopic(client, 1);
  const askedOfRegistry: string[] = [];
  const openRegistry = async (port: number) => {
    const app = await buildRegistry({ log: createSchemasLog(client), logger: log });
    app.addHook("onRequest", async ({ url }) => void askedOfRegistry.push(url));
    return { app, url: await listen(app, "127.0.0.1", port) };
  };
  let registry = await openRegistry(0);
  settings.SCHEMA_REGISTRY_URL = registry.url;
  const values = readConfig(settings);
  const context = createContext(values, "e2e");
  const stack: Stack = {
    settings,
    values,
    context,
    dataDir,
    kafka,
    clickhouse,
    async restartKafka() {
      const port = Number(stack.kafka.brokers.split(":")[1]);
      process.kill(stack.kafka.pid, "SIGKILL");
      await stack.kafka.exited;
      stack.kafka = await startKafka({ ...jars, port });
    },
    async stopClickHouse() {
      await stack.clickhouse.stop();
    },
    async startClickHouse() {
      const port = Number(new URL(stack.clickhouse.url).port);
      stack.clickhouse = await launchClickHouse({ dataDir, port, log });
    },
    askedOfRegistry,
    stopRegistry: () => registry.app.close(),
    async startRegistry() {
      registry = await openRegistry(Number(new URL(registry.url).port));
    },
    async close() {
      await context.close();
      await registry.app.close();
      await stack.clickhouse.stop();
      await stack.kafka.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return stack;
}

/** Makes the tables, and keeps ClickHouse from merging: a row written twice must stay to be seen. */
export async function migrateWithoutMerges(stack: Stack): Promise<void> {
  const clickhouse = clickHouseOfStack(stack);
  await migrate(clickhouse, { database: stack.values.CLICKHOUSE_DATABASE, log: () => undefined });
  await clickhouse.command({ query: "SYSTEM STOP MERGES" });
  await clickhouse.close();
}

/** A client of the stack's ClickHouse. */
export function clickHouseOfStack(stack: Stack) {
  return connectClickHouse({
    url: stack.clickhouse.url,
    database: stack.values.CLICKHOUSE_DATABASE,
  });
}

/** A process of roles; started again when it dies, unless told to stop. */
export type RoleProcess = {
  readonly pid: number;
  /** Times it died unasked. */
  readonly deaths: number;
  /** Resolves when an instance has told that it is ready. */
  ready(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
};

/**
 * Starts roles in a process of their own.
 *
 * @param fault `point:n` for the first instance: it dies there, its successors live.
 */
export function startRoleProcess(
  stack: Stack,
  roles: readonly RoleName[],
  options: { readonly fault?: string; readonly args?: readonly string[] } = {},
): RoleProcess {
  let child: ChildProcess;
  let deaths = 0;
  let stopping = false;
  let readyNow = awaited();

  const start = (fault: string): void => {
    const env = childEnvironment({ ...stack.settings, LIGHTNING_FAULT: fault });
    const started = spawn(process.execPath, [launcher, ...roles, ...(options.args ?? [])], {
      env,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    child = started;
    started.once("message", () => readyNow.resolve());
    started.once("exit", () => {
      // Whoever asks from now on waits for the successor, also when this one never was ready.
      readyNow = awaited();
      if (stopping) return;
      deaths += 1;
      setTimeout(() => !stopping && start(""), 200);
    });
  };
  start(options.fault ?? "");
  return {
    get pid() {
      return child.pid ?? 0;
    },
    get deaths() {
      return deaths;
    },
    ready: () => readyNow.promise,
    signal: (signal) => void child.kill(signal),
    async stop() {
      stopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await gone;
      clearTimeout(timer);
    },
  };
}

function awaited(): { promise: Promise<void>; resolve(): void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Waits until `check` says yes; throws with `what` when it does not in time. */
export async function until(
  what: () => string,
  withinMs: number,
  check: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what()}`);
    await sleep(250);
  }
}
