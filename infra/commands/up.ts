import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Logger } from "pino";
import { LightningError } from "../../schemas/errors.ts";
import { meanRewards } from "../../sinks/clickhouse/queries-figures.ts";
import { readAddresses, removeAddresses, writeAddresses } from "../addresses.ts";
import { type Audit, audit } from "../audit.ts";
import { processConfig, type Values, type VariableName } from "../config.ts";
import { createContext } from "../context.ts";
import { removeEmbeddedData } from "../embedded/fresh.ts";
import { createLog } from "../log.ts";
import { clickHouseOf } from "../roles.ts";
import { supervise } from "../supervise.ts";
import { startUp, type Up } from "../up.ts";
import { type Command, dataOption, portNumber, print, remark, wholeNumber } from "./command.ts";
import { runDemo } from "./demo.ts";

const defaultPort = "4747";
/** Behind the gateway's port: the model of the reference worker. */
const workerOffset = 5;
const settleMs = 30_000;

type Options = {
  readonly port: number;
  readonly dataDir: string;
  readonly demo: boolean;
  readonly training: boolean;
  readonly exit: boolean;
  readonly fresh: boolean;
  readonly rounds: number;
  readonly seed: number;
};

export const upCommand: Command = {
  doc: "everything on this machine: Kafka, ClickHouse, registry, every role, and the room-booking training",
  usage: `lightning up [--port N] [--data DIR] [--no-demo] [--no-train] [--exit] [--fresh] [--rounds N] [--seed N]

  --port N         the gateway's port (${defaultPort}); trainer, registry, ClickHouse, Kafka and the model take
                   the five behind it; 0: free ones, printed
  --data DIR       data folder (.lightning/data)
  --no-demo        serve, train nothing
  --no-train       run the demo's agents with nobody training: the reward must stay where it was
  --exit           leave after the training; the last line is one JSON object of what was counted
  --fresh          begin with empty data
  --rounds N       rounds of training at most (60)
  --seed N         seed of the tasks and of the policy's first weights (1)

KAFKA_BROKERS, CLICKHOUSE_URL and SCHEMA_REGISTRY_URL use yours instead; lightning help settings`,
  run: (args) => up(readOptions(args)),
};

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...dataOption,
      port: { type: "string", default: defaultPort },
      "no-demo": { type: "boolean", default: false },
      "no-train": { type: "boolean", default: false },
      exit: { type: "boolean", default: false },
      fresh: { type: "boolean", default: false },
      rounds: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
    },
  });
  return {
    port: portNumber("up", values.port),
    dataDir: resolve(values.data),
    demo: !values["no-demo"],
    training: !values["no-train"],
    exit: values.exit,
    fresh: values.fresh,
    rounds: wholeNumber("up", "--rounds", values.rounds),
    seed: wholeNumber("up", "--seed", values.seed),
  };
}

async function up(options: Options): Promise<void> {
  const startedAt = Date.now();
  const config = processConfig();
  const logger = createLog(config.LIGHTNING_LOG_LEVEL, "up");
  const asked = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => asked.abort());
  if (options.fresh) await removeData(options.dataDir);
  remark(`Lightning Stream starts, data in ${options.dataDir}`);
  const running = await startUp(config, options, logger);
  try {
    writeAddresses(options.dataDir, textOf(running.values));
    printAddresses(running);
    if (options.demo) await demo(running, options, asked.signal, startedAt, logger);
    if (options.exit || asked.signal.aborted) return;
    remark("Serving until Ctrl-C.");
    const interrupted = new Promise<void>((done) =>
      asked.signal.addEventListener("abort", () => done()),
    );
    await Promise.race([interrupted, running.failed]);
  } finally {
    remark("Stopping …");
    await running.stop();
    removeAddresses(options.dataDir);
  }
}

async function demo(
  running: Up,
  options: Options,
  signal: AbortSignal,
  startedAt: number,
  logger: Logger,
): Promise<void> {
  const port = options.port === 0 ? 0 : options.port + workerOffset;
  const workerArgs = ["worker", "--port", String(port), "--seed", String(options.seed)];
  const args = options.training ? workerArgs : [...workerArgs, "--no-train"];
  const worker = await supervise(args, running.settings, logger);
  const context = createContext(running.values, "audit");
  const clickhouse = clickHouseOf(running.values);
  try {
    print(
      `\nRoom booking: an agent learns to find meeting rooms${options.training ? "" : " (nobody trains)"}.`,
    );
    const { rounds, seed, training } = options;
    await Promise.race([
      runDemo(running.values, { rounds, seed, training, signal, say: print }),
      worker.failed,
      running.failed,
    ]);
    if (signal.aborted) return;
    const project = running.values.LIGHTNING_PROJECT;
    const counted = await audit(context, clickhouse, project, settleMs);
    const rewards = (await meanRewards(clickhouse, project)).filter((r) => r.mode === "val");
    const rewardFirst = rewards[0]?.mean_reward ?? null;
    const rewardLast = rewards.at(-1)?.mean_reward ?? null;
    const seconds = (Date.now() - startedAt) / 1000;
    printOutcome(counted, rewardFirst, rewardLast, seconds, running);
    if (options.exit) print(JSON.stringify({ rewardFirst, rewardLast, ...counted, seconds }));
  } finally {
    // Without --exit the model goes on answering and learning.
    if (options.exit || signal.aborted) await worker.stop();
    else signal.addEventListener("abort", () => worker.stop());
    await clickhouse.close();
    await context.close();
  }
}

function printAddresses({ addresses }: Up): void {
  print(`  gateway      ${addresses.gateway}   OTLP /v1/traces, API /api/v1, metrics /metrics`);
  print(`  trainer      ${addresses.trainer}   POST /v1/batches/lease`);
  print(
    `  ClickHouse   ${addresses.clickhouse}   its own HTTP protocol: curl, Grafana, clickhouse-connect`,
  );
  print(`  registry     ${addresses.registry}   Confluent's REST API`);
  print(`  Kafka        ${addresses.kafka}`);
}

function printOutcome(
  counted: Audit,
  first: number | null,
  last: number | null,
  seconds: number,
  { addresses }: Up,
): void {
  print(`
Mean held-out reward: ${first?.toFixed(3) ?? "-"} with the first policy, ${last?.toFixed(3) ?? "-"} with the last, ${seconds.toFixed(0)} s after the start.
Counted from Kafka and ClickHouse: ${counted.rollouts} rollouts, ${counted.spans} spans, ${counted.steps} steps, ${counted.transitions} transitions,
${counted.trained} of them trained into ${counted.resourceVersions} resource versions; ${counted.lost} lost, ${counted.duplicated} duplicated.

Look closer:
  npx lightning sql "SELECT resources_version AS policy, mode, count() AS rollouts, round(avg(reward), 3) AS reward
                     FROM latest_assemblies GROUP BY policy, mode ORDER BY policy, mode"
  npx lightning sql --questions
  npx lightning lag
  curl -s ${addresses.gateway}/metrics | grep ^lightning`);
}

/** Settings as they stand in an environment. */
function textOf(values: Values): Partial<Record<VariableName, string>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}

/** Empties a data folder, and nothing that does not look like one of ours. */
async function removeData(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return;
  if (readAddresses(dataDir)?.running === true) {
    throw new LightningError(
      "data-folder-locked",
      `${dataDir} is in use by a running lightning up: stop it first`,
    );
  }
  const known = new Set(["kafka", "clickhouse", "addresses.json"]);
  const odd = readdirSync(dataDir).find((name) => !known.has(name));
  if (odd !== undefined) {
    throw new LightningError(
      "data-folder-incompatible",
      `--fresh would remove ${dataDir}, which holds ${odd}: that is not ours`,
    );
  }
  await removeEmbeddedData(dataDir);
}
