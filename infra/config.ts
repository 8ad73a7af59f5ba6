import { LightningError } from "../schemas/errors.ts";
import { isProjectName } from "../schemas/topics.ts";
import { type FaultPoint, type FaultSpec, faultPoints } from "./faults.ts";
import type { Compression, KafkaSettings } from "./kafka/client.ts";
import type { LogLevel } from "./log.ts";

type Variable<T> = {
  readonly doc: string;
  readonly fallback: string;
  readonly allowed: string;
  parse(text: string): T | undefined;
  readonly secret?: boolean;
};

const text = (doc: string, fallback = "", secret = false): Variable<string> => ({
  doc,
  fallback,
  allowed: "any text",
  parse: (value) => value,
  secret,
});

const whole = (doc: string, fallback: number, min: number, max: number): Variable<number> => ({
  doc,
  fallback: String(fallback),
  allowed: `a whole number from ${min} to ${max}`,
  parse: (value) => {
    const n = Number(value);
    return /^\d+$/.test(value) && n >= min && n <= max ? n : undefined;
  },
});

const oneOf = <T extends string>(doc: string, fallback: T, values: readonly T[]): Variable<T> => ({
  doc,
  fallback,
  allowed: `one of ${values.join(", ")}`,
  parse: (value) => values.find((v) => v === value),
});

const flag = (doc: string): Variable<boolean> => ({
  doc,
  fallback: "false",
  allowed: "true or false",
  parse: (value) => (value === "true" ? true : value === "false" ? false : undefined),
});

const url = (doc: string): Variable<string> => ({
  doc,
  fallback: "",
  allowed: "a http:// or https:// address",
  parse: (value) =>
    value === "" || (/^https?:\/\//.test(value) && URL.canParse(value)) ? value : undefined,
});

/** Every setting there is. `lightning --help` and the README print this table. */
export const variables = {
  KAFKA_BROKERS: text("host:port,… of a Kafka cluster; empty: the embedded broker"),
  KAFKA_SSL: flag("TLS to the brokers"),
  KAFKA_SASL_MECHANISM: oneOf("SASL mechanism", "none", [
    "none",
    "plain",
    "scram-sha-256",
    "scram-sha-512",
  ]),
  KAFKA_SASL_USERNAME: text("SASL user"),
  KAFKA_SASL_PASSWORD: text("SASL password", "", true),
  KAFKA_COMPRESSION: oneOf<Compression>("codec of what we send", "lz4", [
    "none",
    "gzip",
    "snappy",
    "lz4",
    "zstd",
  ]),
  KAFKA_REPLICATION: whole("replication factor of topics we create", 1, 1, 10),
  KAFKA_SESSION_TIMEOUT_MS: whole(
    "silence after which a member's partitions move",
    6000,
    1000,
    300_000,
  ),
  KAFKA_TRANSACTION_TIMEOUT_MS: whole(
    "how long a dead producer may hold readers back",
    15_000,
    1000,
    900_000,
  ),
  CLICKHOUSE_URL: url("address of a ClickHouse server; empty: the embedded one"),
  CLICKHOUSE_USER: text("ClickHouse user", "default"),
  CLICKHOUSE_PASSWORD: text("ClickHouse password", "", true),
  CLICKHOUSE_DATABASE: text("ClickHouse database", "default"),
  SCHEMA_REGISTRY_URL: url("address of a Confluent-compatible registry; empty: the embedded one"),
  SCHEMA_REGISTRY_USER: text("registry user"),
  SCHEMA_REGISTRY_PASSWORD: text("registry password", "", true),
  LIGHTNING_URL: url("address of a gateway, for the worker, the examples and the CLI"),
  LIGHTNING_TRAINER_URL: url("address of a trainer, for workers"),
  LIGHTNING_HOST: text("address the roles listen on", "127.0.0.1"),
  LIGHTNING_TOPIC_PREFIX: text("put in front of every topic, group and transactional id"),
  LIGHTNING_PROJECT: {
    ...text("project of the examples and the CLI", "default"),
    allowed: "letters, digits, dot, underscore, dash; at most 64",
    parse: (value: string) => (isProjectName(value) ? value : undefined),
  },
  LIGHTNING_PARTITIONS: whole(
    "partitions of requests, rollouts, spans and steps: instances of a role that can work side by side",
    2,
    1,
    1024,
  ),
  LIGHTNING_TRAINER_PARTITIONS: whole(
    "partitions of transitions and batches: trainers side by side",
    1,
    1,
    256,
  ),
  LIGHTNING_SPAN_MEMORY_MB: whole(
    "MiB of the latest spans a gateway keeps; older ones are read from ClickHouse",
    256,
    1,
    65_536,
  ),
  LIGHTNING_RETENTION_SECONDS: whole(
    "how long a finished rollout stays in memory; then it is read from ClickHouse",
    3600,
    0,
    31_536_000,
  ),
  LIGHTNING_FINISHED_ROLLOUTS: whole(
    "finished rollouts a gateway keeps in memory; beyond them the oldest go before their time",
    200_000,
    0,
    100_000_000,
  ),
  LIGHTNING_CLAIM_SECONDS: whole(
    "store API: silence after a claim that gives the rollout back; 0: never",
    600,
    0,
    31_536_000,
  ),
  LIGHTNING_QUERY_DEADLINE_SECONDS: whole(
    "how long a read waits for the log and for ClickHouse to catch up",
    10,
    1,
    600,
  ),
  LIGHTNING_CORS_ORIGINS: text("store API: origins of browsers, comma-separated; *: any"),
  LIGHTNING_COMPAT: oneOf(
    "store API: strict copies the reference where it is odd, too",
    "lenient",
    ["lenient", "strict"],
  ),
  LIGHTNING_LOG_LEVEL: oneOf<LogLevel>("log level", "warn", [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "silent",
  ]),
  LIGHTNING_ACCEPT_DATA_LOSS: flag(
    "go on from the earliest record when retention removed unread ones",
  ),
  LIGHTNING_FAULT: {
    ...text("tests: point:n kills the process at the nth time it reaches the point"),
    allowed: `point:n with a point of ${faultPoints.join(", ")}`,
    parse: (value: string) => (value === "" || parseFault(value) !== undefined ? value : undefined),
  },
  OPENAI_BASE_URL: url("a real model for the room-booking example instead of the one that learns"),
  OPENAI_API_KEY: text("its key", "", true),
  OPENAI_MODEL: text("its name", "gpt-4.1-mini"),
} satisfies Record<string, Variable<unknown>>;

export type VariableName = keyof typeof variables;
export type Values = {
  readonly [N in VariableName]: Exclude<ReturnType<(typeof variables)[N]["parse"]>, undefined>;
};

function parseFault(value: string): FaultSpec | undefined {
  const [point, count] = value.split(":");
  const known = faultPoints.find((p): p is FaultPoint => p === point);
  const n = Number(count);
  return known !== undefined && Number.isInteger(n) && n > 0
    ? { point: known, count: n }
    : undefined;
}

/**
 * Reads the environment once.
 *
 * @throws LightningError `config-invalid` naming the variable, what was read and what is allowed.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Values {
  const values: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries(variables) as [string, Variable<unknown>][]) {
    const raw = environment[name] ?? variable.fallback;
    const parsed = variable.parse(raw);
    if (parsed === undefined) {
      const read = variable.secret === true ? "something else" : JSON.stringify(raw);
      throw new LightningError(
        "config-invalid",
        `${name} is ${read}, allowed is ${variable.allowed}`,
      );
    }
    values[name] = parsed;
  }
  return Object.freeze(values) as Values;
}

/** The configuration of this process. */
export function processConfig(): Values {
  return readConfig(process.env);
}

/** The environment for a child process: ours, with settings replaced. */
export function childEnvironment(
  settings: Partial<Record<VariableName, string>>,
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (e): e is [string, string] => e[1] !== undefined,
  );
  return { ...Object.fromEntries(inherited), ...settings };
}

export function kafkaSettings(values: Values, clientId: string): KafkaSettings {
  const brokers = values.KAFKA_BROKERS.split(",")
    .map((b) => b.trim())
    .filter((b) => b !== "");
  const malformed = brokers.find((b) => !/^[^:\s]+:\d+$/.test(b));
  if (brokers.length === 0 || malformed !== undefined) {
    throw new LightningError(
      "config-invalid",
      `KAFKA_BROKERS is ${JSON.stringify(values.KAFKA_BROKERS)}, allowed is host:port,host:port…; lightning up starts a broker and prints its address`,
    );
  }
  const mechanism = values.KAFKA_SASL_MECHANISM;
  return {
    brokers,
    clientId,
    prefix: values.LIGHTNING_TOPIC_PREFIX,
    compression: values.KAFKA_COMPRESSION,
    sessionTimeoutMs: values.KAFKA_SESSION_TIMEOUT_MS,
    transactionTimeoutMs: values.KAFKA_TRANSACTION_TIMEOUT_MS,
    ...(values.KAFKA_SSL ? { ssl: true } : {}),
    ...(mechanism === "none"
      ? {}
      : {
          sasl: {
            mechanism,
            username: values.KAFKA_SASL_USERNAME,
            password: values.KAFKA_SASL_PASSWORD,
          } as NonNullable<KafkaSettings["sasl"]>,
        }),
  };
}

export function faultSpec(values: Values): FaultSpec | undefined {
  return parseFault(values.LIGHTNING_FAULT);
}
