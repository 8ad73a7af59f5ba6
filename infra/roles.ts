import type { AddressInfo, Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { assembleRollouts } from "../processors/assemble-rollouts.ts";
import { assignCredit } from "../processors/assign-credit.ts";
import { strategyOf } from "../processors/credit/registry.ts";
import { parseSelection } from "../processors/traces/selection.ts";
import { trackRollouts } from "../processors/track-rollouts.ts";
import { buildGateway } from "../producers/gateway/app.ts";
import type { StoreSettings } from "../producers/gateway/store/settings.ts";
import { LightningError, messageOf } from "../schemas/errors.ts";
import { deadLettersOf } from "../schemas/topics.ts";
import { type ClickHouseClient, connectClickHouse } from "../sinks/clickhouse/client.ts";
import { migrate } from "../sinks/clickhouse/migrate.ts";
import { createClickHouseSink } from "../sinks/clickhouse/sink.ts";
import { readOnlySql } from "../sinks/clickhouse/sql-query.ts";
import { buildTrainer, defaultTrainerSettings } from "../sinks/trainer/app.ts";
import type { Values } from "./config.ts";
import type { Context } from "./context.ts";
import { startGatewayFolds } from "./gateway/start-folds.ts";
import type { PartitionCounts, ReaderSpec } from "./kafka/admin.ts";
import { runProcessor } from "./run-processor.ts";
import { runSink } from "./run-sink.ts";
import { runTrainer, trainerName } from "./run-trainer.ts";
import type { Running } from "./runtime.ts";

/** A role that runs; `address` is where it listens, when it does. */
export type Started = Running & { readonly address?: string };

export type RoleOptions = { readonly port: number };

export type Role = {
  readonly doc: string;
  /** Default port of a role that listens. */
  readonly port?: number;
  start(context: Context, options: RoleOptions): Promise<Started>;
};

/** Readers with state or dead letters of their own, and the class of their input's partitions. */
export const readers: readonly ReaderSpec[] = [
  { name: trackRollouts.name, partitions: "rollouts" },
  { name: assembleRollouts.name, partitions: "rollouts" },
  { name: assignCredit.name, partitions: "groups" },
  { name: "clickhouse", partitions: "single" },
  { name: trainerName, partitions: "trainers" },
];

/** Roles by name: what `lightning <role> …` starts, any number of times, anywhere. */
export const roles = {
  gateway: {
    doc: "HTTP door: OTLP /v1/traces, rollouts, resources, LLM proxy, SQL, metrics",
    port: 4747,
    start: startGateway,
  },
  "track-rollouts": {
    doc: "requests → rollouts: the life of every rollout, time-outs, retries",
    start: (context) => runProcessor(context, trackRollouts),
  },
  "assemble-rollouts": {
    doc: "spans → steps: one step per LLM call with its matched reward",
    start: (context) => runProcessor(context, assembleRollouts),
  },
  "assign-credit": {
    doc: "steps → transitions: returns and advantages, by group",
    start: (context) => runProcessor(context, assignCredit),
  },
  clickhouse: {
    doc: "everything → ClickHouse, each row once",
    start: startClickHouse,
  },
  trainer: {
    doc: "transitions → GPU workers: leases batches over HTTP",
    port: 4748,
    start: startTrainer,
  },
} as const satisfies Record<string, Role>;

export type RoleName = keyof typeof roles;
export const roleNames = Object.keys(roles) as RoleName[];

export function partitionCounts(values: Values): PartitionCounts {
  return {
    rollouts: values.LIGHTNING_PARTITIONS,
    groups: values.LIGHTNING_PARTITIONS,
    trainers: values.LIGHTNING_TRAINER_PARTITIONS,
    single: 1,
  };
}

/** A client of the configured ClickHouse. */
export function clickHouseOf(values: Values): ClickHouseClient {
  if (values.CLICKHOUSE_URL === "") {
    throw new LightningError(
      "config-invalid",
      "CLICKHOUSE_URL is empty, allowed is a http:// or https:// address; lightning up starts a ClickHouse and prints its address",
    );
  }
  return connectClickHouse({
    url: values.CLICKHOUSE_URL,
    database: values.CLICKHOUSE_DATABASE,
    username: values.CLICKHOUSE_USER,
    password: values.CLICKHOUSE_PASSWORD,
  });
}

async function startGateway(context: Context, { port }: RoleOptions): Promise<Started> {
  const failed = (error: Error): void => {
    context.logger.fatal({ err: error }, "the fold of the log broke");
    process.exitCode = 1;
    process.kill(process.pid, "SIGTERM");
  };
  const { values } = context;
  const clickhouse = clickHouseOf(values);
  const folds = await startGatewayFolds(context, clickhouse, failed);
  const app = buildGateway({
    ...folds,
    append: context.append,
    sql: (query, format) => readOnlySql(clickhouse, query, format),
    registry: context.metrics.registry,
    logger: context.logger,
    choices: { checkCredit: strategyOf, checkSelection: parseSelection },
    store: storeSettings(values),
  });
  const address = await listen(app, values.LIGHTNING_HOST, port);
  return served(app, address, async () => {
    await folds.close();
    await clickhouse.close();
  });
}

function storeSettings(values: Values): StoreSettings {
  return {
    claimSeconds: values.LIGHTNING_CLAIM_SECONDS === 0 ? null : values.LIGHTNING_CLAIM_SECONDS,
    retentionSeconds: values.LIGHTNING_RETENTION_SECONDS,
    strict: values.LIGHTNING_COMPAT === "strict",
    corsOrigins: values.LIGHTNING_CORS_ORIGINS.split(",")
      .map((origin) => origin.trim())
      .filter((origin) => origin !== ""),
  };
}

async function startClickHouse(context: Context): Promise<Started> {
  const client = clickHouseOf(context.values);
  await migrate(client, {
    database: context.values.CLICKHOUSE_DATABASE,
    log: (message, fields) => context.logger.info(fields, message),
  });
  const sink = createClickHouseSink({
    client,
    deadLetters: readers.map(({ name }) => deadLettersOf(name)),
  });
  const running = await runSink(context, sink);
  return {
    done: running.done,
    async stop() {
      await running.stop();
      await client.close();
    },
  };
}

async function startTrainer(context: Context, { port }: RoleOptions): Promise<Started> {
  const { port: trainerPort, ...running } = await runTrainer(context);
  const app = buildTrainer(trainerPort, { ...defaultTrainerSettings, logger: context.logger });
  const address = await listen(app, context.values.LIGHTNING_HOST, port);
  const server = served(app, address, running.stop);
  return { ...server, done: running.done };
}

function served(app: FastifyInstance, address: string, close: () => Promise<void>): Started {
  return {
    address,
    // A server ends when it is asked to.
    done: new Promise(() => undefined),
    async stop() {
      await app.close();
      await close();
    },
  };
}

/** @throws LightningError `port-in-use` naming host and port. */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  dropSilentConnections(app);
  try {
    await app.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") {
      throw new LightningError(
        "port-in-use",
        `port ${port} on ${host} is taken: choose another with --port, 0 for any`,
        { port, cause: error },
      );
    }
    throw new LightningError(
      "config-invalid",
      `cannot listen on ${host}:${port}: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const { port: chosen } = app.server.address() as AddressInfo;
  return `http://${host}:${chosen}`;
}

/**
 * Node's server waits, when it closes, for connections on which nothing was ever asked: clients that
 * connect ahead would hold a role's end up for as long as they like.
 */
function dropSilentConnections(app: FastifyInstance): void {
  const open = new Set<Socket>();
  let closing = false;
  app.server.on("connection", (socket) => {
    if (closing) socket.destroy();
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  app.addHook("preClose", async () => {
    closing = true;
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
  });
}
