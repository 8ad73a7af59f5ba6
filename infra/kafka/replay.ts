import { classifyKafkaError, type KafkaClient, requestRetry } from "./client.ts";
import { kafkajs } from "./patches.ts";

/** A record as it once stood in a topic: bytes, key, headers and partition are sent as they are. */
export type Replayed = {
  readonly topic: string;
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
};

export type Replayer = {
  /** Resolves with the record's new offset when it is durable (acks=all). */
  send(record: Replayed): Promise<number>;
  close(): Promise<void>;
};

/**
 * Sends records back to where they came from, one request each: when it fails, what has been sent is
 * known. Every call throws `kafka-unavailable` or `too-large`.
 */
export async function openReplayer(client: KafkaClient): Promise<Replayer> {
  const producer = client.kafkajs.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    // A topic that is gone must not come back with the broker's default settings.
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    retry: requestRetry,
  });
  const guard = async <T>(work: () => Promise<T>, fields: Record<string, unknown>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw classifyKafkaError(error, "kafka-unavailable", fields);
    }
  };
  await guard(() => producer.connect(), {});
  return {
    send: ({ topic, partition, key, value, headers }) =>
      guard(
        async () => {
          const [written] = await producer.send({
            topic: client.topic(topic),
            acks: -1,
            compression: client.compression,
            messages: [{ key, value, partition, headers: { ...headers } }],
          });
          return Number(written?.baseOffset ?? -1);
        },
        { topic, partition },
      ),
    close: () => producer.disconnect().catch(() => undefined),
  };
}
