import type { Logger } from "pino";
import type { Append } from "../producers/producer.ts";
import { type Codec, createCodec } from "../schemas/codec.ts";
import { LightningError } from "../schemas/errors.ts";
import { createAppend } from "./append-records.ts";
import { faultSpec, kafkaSettings, type Values } from "./config.ts";
import { createFaults } from "./faults.ts";
import { type Appender, createAppender } from "./kafka/append.ts";
import { createKafkaClient, type KafkaClient } from "./kafka/client.ts";
import { createLog } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createRegistryClient } from "./registry.ts";
import type { Runtime } from "./runtime.ts";

/** What the roles of one process share. */
export type Context = Runtime & {
  readonly values: Values;
  readonly logger: Logger;
  readonly client: KafkaClient;
  readonly codec: Codec;
  readonly metrics: Metrics;
  readonly append: Append;
  readonly appender: Appender;
  close(): Promise<void>;
};

/** @throws LightningError `config-invalid` when an address is missing. */
export function createContext(values: Values, role: string): Context {
  const logger = createLog(values.LIGHTNING_LOG_LEVEL, role);
  const metrics = createMetrics();
  const client = createKafkaClient(kafkaSettings(values, `lightning-${role}`), logger);
  const codec = createCodec(createRegistryClient(registrySettings(values), logger));
  const appender = createAppender(client);
  return {
    values,
    logger,
    client,
    codec,
    metrics,
    appender,
    append: createAppend(codec, appender),
    faults: createFaults(faultSpec(values)),
    acceptDataLoss: values.LIGHTNING_ACCEPT_DATA_LOSS,
    close: () => appender.close(),
  };
}

function registrySettings(values: Values): { url: string; user: string; password: string } {
  if (values.SCHEMA_REGISTRY_URL === "") {
    throw new LightningError(
      "config-invalid",
      "SCHEMA_REGISTRY_URL is empty, allowed is a http:// or https:// address; lightning up starts a registry and prints its address",
    );
  }
  return {
    url: values.SCHEMA_REGISTRY_URL,
    user: values.SCHEMA_REGISTRY_USER,
    password: values.SCHEMA_REGISTRY_PASSWORD,
  };
}
