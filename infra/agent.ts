import type { Exporter } from "../producers/agent/exporter.ts";
import { projectIn } from "../producers/agent/gateway-url.ts";
import {
  createLightning,
  type Lightning,
  type LightningOptions,
} from "../producers/agent/lightning.ts";
import { createLogExporter } from "../producers/agent/log-exporter.ts";
import { createCodec } from "../schemas/codec.ts";
import { LightningError } from "../schemas/errors.ts";
import { topics } from "../schemas/topics.ts";
import { createAppend } from "./append-records.ts";
import { createAppender } from "./kafka/append.ts";
import { type Compression, createKafkaClient, type KafkaSettings } from "./kafka/client.ts";
import { createLog } from "./log.ts";
import { createRegistryClient } from "./registry.ts";

// The package export `lightning-stream/agent`. It stands in infra/ because the exporter to Kafka
// knows a broker; users import by the package's name, so a list of what is theirs is its purpose.
// biome-ignore-start lint/performance/noBarrelFile: the one public entrance of the library
export type { Attempt } from "../producers/agent/attempt.ts";
export { currentAttempt, withAttempt } from "../producers/agent/attempt.ts";
export type { BufferOptions, BufferStats } from "../producers/agent/buffer.ts";
export type { EmitOptions, Emitted } from "../producers/agent/emit.ts";
export {
  emitAnnotation,
  emitException,
  emitMessage,
  emitReward,
  links,
  tags,
} from "../producers/agent/emit.ts";
export type { Exporter, Refused } from "../producers/agent/exporter.ts";
export { asSpanExporter, fromSpanExporter } from "../producers/agent/exporter.ts";
export type { RolloutOptions } from "../producers/agent/gateway-client.ts";
export type { Lightning, LightningOptions, LightningStats } from "../producers/agent/lightning.ts";
export { createLightning } from "../producers/agent/lightning.ts";
export type { Log } from "../producers/agent/losses.ts";
export { rewardOperation } from "../producers/agent/names.ts";
export { emitObject } from "../producers/agent/object.ts";
export { instrumentOpenAI, recordingFetch } from "../producers/agent/openai.ts";
export type { Operation, OperationOptions } from "../producers/agent/operation.ts";
export { operation, withOperation } from "../producers/agent/operation.ts";
export type { OtlpOptions } from "../producers/agent/otlp-exporter.ts";
export { createOtlpExporter } from "../producers/agent/otlp-exporter.ts";
export type { Rollout } from "../producers/agent/rollout.ts";
export type { AgentOptions, AgentSummary } from "../producers/agent/run-agent.ts";
export { createStampProcessor } from "../producers/agent/stamp.ts";
export type { ErrorCode } from "../schemas/errors.ts";
export { LightningError } from "../schemas/errors.ts";
// biome-ignore-end lint/performance/noBarrelFile: the one public entrance of the library

export type KafkaExporterOptions = {
  /** `host:port` of one broker or more. */
  readonly brokers: readonly string[];
  /** Address of a Confluent-compatible schema registry. */
  readonly registryUrl: string;
  readonly registryAuth?: { readonly user: string; readonly password: string };
  /** What LIGHTNING_TOPIC_PREFIX is for the roles; none unless said. */
  readonly prefix?: string;
  /** Project of spans that do not say theirs; `default` unless said. */
  readonly project?: string;
  /** Codec of what is sent, lz4 unless said. */
  readonly compression?: Compression;
  /** As for kafkajs: true, or the options of a TLS connection. */
  readonly ssl?: NonNullable<KafkaSettings["ssl"]>;
  /** As for kafkajs: mechanism, username and password. */
  readonly sasl?: NonNullable<KafkaSettings["sasl"]>;
  readonly clientId?: string;
};

/**
 * Exporter that writes spans to the `spans` topic, acknowledged by all in-sync replicas, in Avro in
 * Confluent's wire format. The roles make the topic; nothing is asked of anyone before the first
 * span. Its connections keep the process alive until `shutdown`, the client's included.
 *
 * @example
 * const transport = createKafkaExporter({ brokers: ["kafka:9092"], registryUrl: "http://registry:8081" });
 * const lightning = createLightning({ transport, gatewayUrl: "http://gateway:4747" });
 *
 * Throws `config-invalid` for what is no broker or no registry. Sending throws `kafka-unavailable`,
 * `registry-unavailable` and `overloaded` (to retry), `too-large`, `schema-incompatible`.
 */
export function createKafkaExporter(options: KafkaExporterOptions): Exporter {
  checkAddresses(options);
  const logger = createLog("warn", "agent");
  const { registryUrl, registryAuth } = options;
  const codec = createCodec(createRegistryClient({ url: registryUrl, ...registryAuth }, logger));
  const appender = createAppender(createKafkaClient(settingsOf(options), logger));
  const append = createAppend(codec, appender);
  const { project } = options;
  const exporter = createLogExporter({ append, ...(project === undefined ? {} : { project }) });
  return {
    name: "kafka",
    async send(spans) {
      // Here and not at the start: an agent may start before its registry.
      await codec.prepare(topics.spans.name, ["SpanRecorded"]);
      return exporter.send(spans);
    },
    shutdown: () => appender.close(),
  };
}

/**
 * {@link createLightning} with {@link createKafkaExporter} as its transport, for the client's own
 * project.
 *
 * @example
 * const lightning = createKafkaLightning({
 *   kafka: { brokers: ["kafka:9092"], registryUrl: "http://registry:8081" },
 *   gatewayUrl: "http://gateway:4747",
 * });
 *
 * Throws what the two throw.
 */
export function createKafkaLightning({
  kafka,
  ...options
}: Omit<LightningOptions, "transport"> & { readonly kafka: KafkaExporterOptions }): Lightning {
  const { gatewayUrl } = options;
  const named = options.project ?? (gatewayUrl === undefined ? undefined : projectIn(gatewayUrl));
  const project = kafka.project ?? named ?? "default";
  return createLightning({ ...options, transport: createKafkaExporter({ ...kafka, project }) });
}

function settingsOf(options: KafkaExporterOptions): KafkaSettings {
  const { brokers, clientId = "lightning-agent", prefix = "", compression = "lz4" } = options;
  const { ssl, sasl } = options;
  return {
    brokers,
    clientId,
    prefix,
    compression,
    // Of groups and transactions, which an agent has none of.
    sessionTimeoutMs: 6000,
    transactionTimeoutMs: 15_000,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  };
}

function checkAddresses({ brokers, registryUrl }: KafkaExporterOptions): void {
  const malformed = brokers.find((broker) => !/^[^\s/]+:\d{1,5}$/.test(broker));
  if (brokers.length === 0 || malformed !== undefined) {
    throw invalid("brokers", malformed ?? brokers, 'a list of "host:port"');
  }
  if (!/^https?:\/\//.test(registryUrl) || !URL.canParse(registryUrl)) {
    throw invalid("registryUrl", registryUrl, "a http:// or https:// address");
  }
}

function invalid(field: string, read: unknown, allowed: string): LightningError {
  return new LightningError(
    "config-invalid",
    `createKafkaExporter: ${field}: read ${JSON.stringify(read)}, allowed is ${allowed}`,
    { field },
  );
}
