import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Logger } from "pino";
import { kafkaSettings, type Values, type VariableName } from "./config.ts";
import { type ClickHouseProcess, launchClickHouse } from "./embedded/clickhouse-process.ts";
import { type Kafka, startKafka } from "./embedded/kafka.ts";
import { kafkaJarsDir } from "./embedded/kafka-jars.js";
import { type KeptRunning, keepRunning } from "./embedded/keep-running.ts";
import { buildRegistry } from "./embedded/registry.ts";
import { ensureTopics, planTopics } from "./kafka/admin.ts";
import { createKafkaClient } from "./kafka/client.ts";
import { createSchemasLog, ensureSchemasTopic } from "./kafka/schemas-log.ts";
import { standBack } from "./process-priority.ts";
import { listen, partitionCounts, readers } from "./roles.ts";
import { type Supervised, supervise } from "./supervise.ts";

export type UpOptions = {
  /** Gateway port; trainer, registry, ClickHouse and Kafka take the four behind it. 0: free ones. */
  readonly port: number;
  readonly dataDir: string;
};

/** Everything on one machine, with the addresses it listens on. */
export type Up = {
  readonly addresses: Addresses;
  /** What another process needs in its environment to join. */
  readonly settings: Partial<Record<VariableName, string>>;
  /** The values this process runs with: the configured ones and what was started here. */
  readonly values: Values;
  /** Rejects when a part keeps failing. */
  readonly failed: Promise<never>;
  readonly doors: Supervised;
  readonly folds: Supervised;
  stop(): Promise<void>;
};

export type Addresses = {
  readonly gateway: string;
  readonly trainer: string;
  readonly registry: string;
  readonly clickhouse: string;
  readonly kafka: string;
};

/** Behind the gateway's port, in this order. */
const offsets = { trainer: 1, registry: 2, clickhouse: 3, kafka: 4 };

/**
 * Starts what is not configured to be elsewhere (Kafka, ClickHouse, registry) and every role: the
 * doors (gateway, trainer) in one process, the folds (processors and the ClickHouse sink) in
 * another, which stands back while cores are scarce. Each is started again when it ends.
 *
 * @throws LightningError naming what could not start, and why.
 */
export async function startUp(values: Values, options: UpOptions, logger: Logger): Promise<Up> {
  const dataDir = resolve(options.dataDir);
  mkdirSync(dataDir, { recursive: true });
  const portOf = (part: keyof typeof offsets): number =>
    options.port === 0 ? 0 : options.port + offsets[part];
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse())
      await one().catch((err) => logger.warn({ err }, "a part did not stop"));
  };
  try {
    const [kafka, clickhouse] = await startEngines(values, dataDir, portOf, logger, stops);
    const settings: Partial<Record<VariableName, string>> = {
      KAFKA_BROKERS: kafka?.current().brokers ?? values.KAFKA_BROKERS,
      CLICKHOUSE_URL: clickhouse?.current().url ?? values.CLICKHOUSE_URL,
    };
    const registry = await startRegistry(
      { ...values, ...settings } as Values,
      portOf("registry"),
      logger,
      stops,
    );
    settings.SCHEMA_REGISTRY_URL = registry;
    const doorArgs = [
      "gateway",
      "trainer",
      "--port",
      String(options.port),
      "--trainer-port",
      String(portOf("trainer")),
    ];
    const foldArgs = ["track-rollouts", "assemble-rollouts", "assign-credit", "clickhouse"];
    const [doors, folds] = await Promise.all([
      supervise(doorArgs, settings, logger),
      supervise(foldArgs, settings, logger, standBack),
    ]);
    stops.push(
      async () => folds.stop(),
      async () => doors.stop(),
    );
    settings.LIGHTNING_URL = doors.addresses.gateway ?? "";
    settings.LIGHTNING_TRAINER_URL = doors.addresses.trainer ?? "";
    return {
      addresses: {
        gateway: settings.LIGHTNING_URL,
        trainer: settings.LIGHTNING_TRAINER_URL,
        registry,
        clickhouse: settings.CLICKHOUSE_URL ?? "",
        kafka: settings.KAFKA_BROKERS ?? "",
      },
      settings,
      values: { ...values, ...settings } as Values,
      failed: Promise.race(
        [doors, folds, kafka, clickhouse].flatMap((part) =>
          part === undefined ? [] : [part.failed],
        ),
      ),
      doors,
      folds,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Engines = [KeptRunning<Kafka> | undefined, KeptRunning<ClickHouseProcess> | undefined];

async function startEngines(
  values: Values,
  dataDir: string,
  portOf: (part: keyof typeof offsets) => number,
  logger: Logger,
  stops: (() => Promise<unknown>)[],
): Promise<Engines> {
  const starting: [Promise<Engines[0]>, Promise<Engines[1]>] = [
    values.KAFKA_BROKERS === ""
      ? keepRunning(
          "kafka",
          (before: Kafka | undefined) => {
            const port =
              before === undefined ? portOf("kafka") : Number(before.brokers.split(":")[1]);
            return startKafka({ dataDir, jarsDir: kafkaJarsDir, port, log: logger });
          },
          logger,
        )
      : Promise.resolve(undefined),
    values.CLICKHOUSE_URL === ""
      ? keepRunning(
          "clickhouse",
          (before: ClickHouseProcess | undefined) => {
            const port =
              before === undefined ? portOf("clickhouse") : Number(new URL(before.url).port);
            return launchClickHouse({ dataDir, port, log: logger });
          },
          logger,
        )
      : Promise.resolve(undefined),
  ];
  // Both are waited for, so that when one fails the other is stopped too.
  const [kafka, clickhouse] = await Promise.allSettled(starting);
  for (const part of [kafka, clickhouse]) {
    if (part.status === "fulfilled" && part.value !== undefined) stops.push(part.value.stop);
  }
  if (kafka.status === "rejected") throw kafka.reason;
  if (clickhouse.status === "rejected") throw clickhouse.reason;
  return [kafka.value, clickhouse.value];
}

/** Makes the topics, and the registry unless there is one; returns the registry's address. */
async function startRegistry(
  values: Values,
  port: number,
  logger: Logger,
  stops: (() => Promise<unknown>)[],
): Promise<string> {
  const client = createKafkaClient(kafkaSettings(values, "lightning-up"), logger);
  await ensureTopics(
    client,
    planTopics(partitionCounts(values), readers),
    values.KAFKA_REPLICATION,
  );
  if (values.SCHEMA_REGISTRY_URL !== "") return values.SCHEMA_REGISTRY_URL;
  await ensureSchemasTopic(client, values.KAFKA_REPLICATION);
  const app = await buildRegistry({ log: createSchemasLog(client), logger });
  stops.push(() => app.close());
  return listen(app, values.LIGHTNING_HOST, port);
}
