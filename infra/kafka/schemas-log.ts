import { createTopics, withAdmin } from "./admin.ts";
import { classifyKafkaError, type KafkaClient } from "./client.ts";
import { kafkajs } from "./patches.ts";
import { openReader } from "./reader.ts";

/** A record of the registry's own topic. */
export type SchemasRecord = {
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
};

/** The topic that Confluent's registry keeps its schemas in; no prefix, one partition, compacted. */
export const schemasTopic = "_schemas";

/** Creates the registry's topic when it is missing. */
export async function ensureSchemasTopic(client: KafkaClient, replication: number): Promise<void> {
  await withAdmin(client, async (admin) => {
    await createTopics(admin, [
      {
        topic: schemasTopic,
        numPartitions: 1,
        replicationFactor: replication,
        configEntries: [{ name: "cleanup.policy", value: "compact" }],
      },
    ]);
  });
}

/** Append and tail of the registry's topic, for infra/embedded/registry.ts. */
export function createSchemasLog(unprefixed: KafkaClient): {
  append(key: Buffer, value: Buffer | null): Promise<number>;
  tail(onRecord: (record: SchemasRecord) => void | Promise<void>): Promise<{
    caughtUpTo(offset: number): Promise<void>;
    close(): Promise<void>;
  }>;
} {
  const client: KafkaClient = { ...unprefixed, topic: (name) => name };
  return {
    async append(key, value) {
      // Schemas are written seldom: a producer for each write is simpler than one kept healthy.
      const producer = client.kafkajs.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      });
      try {
        await producer.connect();
        const messages = [{ key, value, partition: 0 }];
        const [written] = await producer.send({ topic: schemasTopic, messages, acks: -1 });
        return Number(written?.baseOffset ?? 0);
      } catch (error) {
        throw classifyKafkaError(error, "kafka-unavailable", { topic: schemasTopic });
      } finally {
        await producer.disconnect().catch(() => undefined);
      }
    },
    tail: (onRecord) => tailSchemas(client, onRecord),
  };
}

async function tailSchemas(
  client: KafkaClient,
  onRecord: (record: SchemasRecord) => void | Promise<void>,
): Promise<{ caughtUpTo(offset: number): Promise<void>; close(): Promise<void> }> {
  const options = { topic: schemasTopic, partition: 0, from: 0, maxWaitMs: 200 };
  const reader = openReader(client, options);
  const waiting = new Set<{ offset: number; resolve(): void }>();
  let next = 0;

  async function run(ready: () => void): Promise<void> {
    for (let fetched = await reader.next(); fetched !== undefined; fetched = await reader.next()) {
      for (const record of fetched.records) await onRecord(record);
      next = fetched.nextOffset;
      for (const waiter of waiting) {
        if (waiter.offset >= next) continue;
        waiting.delete(waiter);
        waiter.resolve();
      }
      if (next >= fetched.stableOffset) ready();
    }
  }

  await new Promise<void>((resolve, reject) => {
    run(resolve).catch(reject);
  });
  return {
    caughtUpTo: (offset) =>
      offset < next
        ? Promise.resolve()
        : new Promise((resolve) => waiting.add({ offset, resolve })),
    close: () => reader.close(),
  };
}
