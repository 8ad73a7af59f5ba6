import { createRequire } from "node:module";
import type { CompressionTypes, Kafka, KafkaConfig } from "kafkajs";
import type { Logger } from "pino";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { kafkajs as kafkaJs, type WithNextOffset } from "./patches.ts";
import type { RawMessage } from "./record-set.ts";

const require = createRequire(import.meta.url);

export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

export type KafkaSettings = {
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** Put in front of every topic, group and transactional id. */
  readonly prefix: string;
  readonly compression: Compression;
  readonly ssl?: KafkaConfig["ssl"];
  readonly sasl?: KafkaConfig["sasl"];
  /** How long a member may be silent before its partitions move, ms. */
  readonly sessionTimeoutMs: number;
  /** How long a dead producer's open transaction may hold readers back, ms. */
  readonly transactionTimeoutMs: number;
};

/** kafkajs with our settings; everything else in this folder works on it. */
export type KafkaClient = {
  readonly kafkajs: Kafka;
  readonly settings: KafkaSettings;
  readonly logger: Logger;
  readonly compression: CompressionTypes;
  /** Our name → the broker's name. */
  topic(name: string): string;
};

/** The default costs 300 ms for each transaction that follows another (operations.md, fact 4). */
export const transactionRetry = {
  initialRetryTime: 3,
  multiplier: 1.5,
  maxRetryTime: 20,
  retries: 100,
};

/** For ordinary requests: about 10 s in all before `kafka-unavailable`. */
export const requestRetry = {
  initialRetryTime: 50,
  multiplier: 2,
  maxRetryTime: 1000,
  retries: 12,
};

const compressionTypes: Record<Compression, CompressionTypes> = {
  none: kafkaJs.CompressionTypes.None,
  gzip: kafkaJs.CompressionTypes.GZIP,
  snappy: kafkaJs.CompressionTypes.Snappy,
  lz4: kafkaJs.CompressionTypes.LZ4,
  zstd: kafkaJs.CompressionTypes.ZSTD,
};

export function createKafkaClient(settings: KafkaSettings, logger: Logger): KafkaClient {
  const kafkajs = new kafkaJs.Kafka({
    brokers: [...settings.brokers],
    clientId: settings.clientId,
    connectionTimeout: 3000,
    requestTimeout: 15000,
    retry: requestRetry,
    logLevel: kafkaJs.logLevel.ERROR,
    logCreator:
      () =>
      ({ log }) => {
        // The runtime reports what matters by code; the client's own voice is for debugging.
        const { message, ...facts } = log;
        logger.debug({ kafkajs: facts.error ?? facts }, message);
      },
    ...(settings.ssl === undefined ? {} : { ssl: settings.ssl }),
    ...(settings.sasl === undefined ? {} : { sasl: settings.sasl }),
  });
  return {
    kafkajs,
    settings,
    logger,
    compression: compressionTypes[settings.compression],
    topic: (name) => `${settings.prefix}${name}`,
  };
}

type ProtocolError = Error & { type?: string; cause?: unknown; name: string };

/** The broker's error names for "another producer has this transactional id now". */
const fencedTypes = new Set([
  "INVALID_PRODUCER_EPOCH",
  "PRODUCER_FENCED",
  "INVALID_PRODUCER_ID_MAPPING",
  "INVALID_TXN_STATE",
  "FENCED_INSTANCE_ID",
]);
const tooLargeTypes = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "MSG_SIZE_TOO_LARGE"]);

/** The broker's error name, looked for through kafkajs' wrappers. */
export function kafkaErrorType(error: unknown): string | undefined {
  for (
    let e = error as ProtocolError | undefined;
    e instanceof Error;
    e = e.cause as ProtocolError
  ) {
    if (typeof e.type === "string") return e.type;
    if (e.name === "KafkaJSOffsetOutOfRange") return "OFFSET_OUT_OF_RANGE";
  }
  return undefined;
}

/** An error of the client as one of ours; `otherwise` when it says nothing definite. */
export function classifyKafkaError(
  error: unknown,
  otherwise: "kafka-unavailable" | "commit-indefinite",
  fields: Record<string, unknown>,
): LightningError {
  if (error instanceof LightningError) return error;
  const type = kafkaErrorType(error);
  const details = { ...fields, cause: error, type };
  if (type !== undefined && fencedTypes.has(type)) {
    return new LightningError("fenced", "another instance took this partition over", details);
  }
  if (type !== undefined && tooLargeTypes.has(type)) {
    return new LightningError("too-large", "the broker refused the record as too large", details);
  }
  if (type === "OFFSET_OUT_OF_RANGE") {
    return new LightningError("data-lost", "retention removed records not read yet", details);
  }
  return new LightningError(otherwise, `Kafka: ${messageOf(error)}`, details);
}

type Internals = {
  broker: {
    fetch(request: unknown): Promise<{ responses: FetchResponse[] }>;
  };
  cluster: {
    connect(): Promise<void>;
    disconnect(): Promise<void>;
    addTargetTopic(topic: string): Promise<void>;
    findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
    findBroker(options: { nodeId: number }): Promise<Internals["broker"]>;
  };
};

export type FetchedPartition = {
  partition: number;
  highWatermark: string;
  lastStableOffset: string;
  abortedTransactions: { producerId: string; firstOffset: string }[] | null;
  messages: RawMessage[] & WithNextOffset;
};

type FetchResponse = { topicName: string; partitions: FetchedPartition[] };

export type Cluster = Internals["cluster"];

/**
 * A connection pool of its own inside kafkajs, for fetching one partition at an offset we choose.
 * A long poll blocks its connection on the broker, so every reader has one.
 */
export function openCluster(client: KafkaClient): Cluster {
  const symbol = Object.getOwnPropertySymbols(client.kafkajs).find(
    (s) => s.description === "private:Kafka:createCluster",
  );
  if (symbol === undefined) {
    const { version } = require("kafkajs/package.json") as { version: string };
    throw new Error(`kafkajs ${version} is not the 2.2.4 that infra/kafka/client.ts knows`);
  }
  const create = (client.kafkajs as unknown as Record<symbol, (options: unknown) => Cluster>)[
    symbol
  ];
  if (create === undefined) throw new Error("kafkajs has no cluster factory");
  return create({ metadataMaxAge: 60_000, allowAutoTopicCreation: false, isolationLevel: 1 });
}
