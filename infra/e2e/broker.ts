import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Kafka, startKafka } from "../embedded/kafka.ts";
import { kafkaJarsDir } from "../embedded/kafka-jars.js";
import { createTopics, topicOffsets, withAdmin } from "../kafka/admin.ts";
import {
  type Compression,
  createKafkaClient,
  type KafkaClient,
  type KafkaSettings,
} from "../kafka/client.ts";
import { type Fetched, openReader, type RawRecord } from "../kafka/reader.ts";
import { createLog } from "../log.ts";

/** A real broker alone, in a folder of its own. */
export type TestBroker = {
  readonly kafka: Kafka;
  readonly client: KafkaClient;
  clientWith(settings: Partial<KafkaSettings>): KafkaClient;
  /** Creates a topic with one partition; its name is new each time. */
  newTopic(config?: Readonly<Record<string, string>>): Promise<string>;
  close(): Promise<void>;
};

/** Long enough that in a test only an heir ends an open transaction, ms. */
export const transactionTimeoutMs = 120_000;

export async function startBroker(): Promise<TestBroker> {
  const dataDir = mkdtempSync(join(tmpdir(), "lightning-broker-"));
  const log = createLog("error", "e2e");
  const kafka = await startKafka({ dataDir, jarsDir: kafkaJarsDir, log, port: 0 });
  const clientWith = (settings: Partial<KafkaSettings>): KafkaClient =>
    createKafkaClient(
      {
        brokers: [kafka.brokers],
        clientId: "e2e",
        prefix: "",
        compression: "lz4" satisfies Compression,
        sessionTimeoutMs: 3000,
        transactionTimeoutMs,
        ...settings,
      },
      log,
    );
  const client = clientWith({});
  let topics = 0;
  return {
    kafka,
    client,
    clientWith,
    async newTopic(config = {}) {
      const topic = `t${++topics}`;
      const configEntries = Object.entries({
        "max.message.bytes": String(16 * 1024 * 1024),
        "message.timestamp.type": "LogAppendTime",
        ...config,
      }).map(([name, value]) => ({ name, value }));
      await withAdmin(client, (admin) =>
        createTopics(admin, [{ topic, numPartitions: 1, replicationFactor: 1, configEntries }]),
      );
      return topic;
    },
    async close() {
      await kafka.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * Everything a read_committed reader is given from an offset on, answer by answer, until it stands
 * at the end of what is stable; fails when it does not get there.
 *
 * @param maxBytes 1: one batch an answer, so that every batch is once the first of a fetch.
 */
export async function fetchAll(
  client: KafkaClient,
  topic: string,
  { from = 0, maxBytes = 4 * 1024 * 1024, withinMs = 20_000 } = {},
): Promise<Fetched[]> {
  const reader = openReader(client, { topic, partition: 0, from, maxBytes, maxWaitMs: 50 });
  const answers: Fetched[] = [];
  try {
    for (const deadline = Date.now() + withinMs; Date.now() < deadline; ) {
      const fetched = await Promise.race([reader.next(), sleep(withinMs, undefined)]);
      if (fetched === undefined) break;
      answers.push(fetched);
      if (fetched.nextOffset >= fetched.stableOffset) return answers;
    }
  } finally {
    await reader.close();
  }
  const at = answers.at(-1);
  throw new Error(`stuck at ${at?.nextOffset ?? from} of ${topic}, stable is ${at?.stableOffset}`);
}

/** Values of the committed records from an offset on. */
export async function valuesFrom(
  client: KafkaClient,
  topic: string,
  options: { readonly from?: number; readonly maxBytes?: number } = {},
): Promise<string[]> {
  const answers = await fetchAll(client, topic, options);
  return answers.flatMap(({ records }) => records.map(textOf));
}

/**
 * Reads the topic until it has as many values as expected, and compares: the broker answers a commit
 * before it has written the markers that make the records visible.
 */
export async function expectValues(
  client: KafkaClient,
  topic: string,
  expected: readonly string[],
): Promise<void> {
  let values = await valuesFrom(client, topic);
  for (const deadline = Date.now() + 5000; values.length < expected.length; ) {
    if (Date.now() > deadline) break;
    values = await valuesFrom(client, topic);
  }
  assert.deepEqual(values, expected);
}

export function textOf({ value }: RawRecord): string {
  return value?.toString("utf8") ?? "";
}

/** Offset behind everything in the topic's partition, open transactions included. */
export async function endOf(client: KafkaClient, topic: string): Promise<number> {
  const [first] = await topicOffsets(client, topic);
  return first?.latest ?? 0;
}
