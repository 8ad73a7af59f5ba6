import type { Kafka } from "kafkajs";
import { type Client, group } from "./client.ts";

/** kafkajs as npm has it, with its own defaults; patches.ts must not be loaded by it. */
export function stockKafkaJs(kafka: Kafka, topic: string): Client {
  const messagesOf = (values: readonly Buffer[]) =>
    values.map((value) => ({ key: "key", value, partition: 0 }));
  return {
    async openProducer() {
      const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
      await producer.connect();
      return {
        async send(values) {
          await producer.send({ topic, messages: messagesOf(values), acks: -1 });
        },
      };
    },
    async openTransactions() {
      const producer = kafka.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        transactionalId: `bench-stock-${process.pid}`,
      });
      await producer.connect();
      return {
        async transact(values, offset) {
          const transaction = await producer.transaction();
          await transaction.send({ topic, messages: messagesOf(values), acks: -1 });
          const partitions = [{ partition: 0, offset: String(offset) }];
          await transaction.sendOffsets({
            consumerGroupId: group,
            topics: [{ topic, partitions }],
          });
          await transaction.commit();
        },
      };
    },
    fetch: (records) => consume(kafka, topic, records),
    connect: (connections) => connectProducers(kafka, connections),
  };
}

async function consume(kafka: Kafka, topic: string, records: number): Promise<number> {
  const consumer = kafka.consumer({ groupId: `bench-fetch-${process.pid}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    const running = consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        if (batch.partition === 0) seen += batch.messages.length;
        if (seen >= records) resolve();
      },
    });
    running.catch(reject);
  });
  await consumer.disconnect();
  return seen;
}

/** One idempotent producer a connection, as a processor has one for each partition. */
export async function connectProducers(kafka: Kafka, connections: number): Promise<void> {
  const connecting = Array.from({ length: connections }, () =>
    kafka.producer({ idempotent: true, maxInFlightRequests: 1 }).connect(),
  );
  await Promise.all(connecting);
}
