import { Consumer, type Message, Producer } from "@platformatic/kafka";
import { type Client, group } from "./client.ts";

type TransactionOffset = Pick<Message, "topic" | "partition" | "offset"> & {
  readonly metadata: { readonly consumer: unknown };
};

/** @platformatic/kafka the way we would use it. */
export function platformatic(brokers: string, topic: string): Client {
  // As tuned as ours: its own pause between tries is 1 s, once per transaction that follows another.
  const base = { clientId: "bench", bootstrapBrokers: [brokers], retryDelay: 3, retries: 1000 };
  const messagesOf = (values: readonly Buffer[]) =>
    values.map((value) => ({ topic, key: Buffer.from("key"), value, partition: 0 }));
  return {
    async openProducer() {
      const producer = new Producer({ ...base, idempotent: true });
      return {
        async send(values) {
          await producer.send({ messages: messagesOf(values), acks: -1 });
        },
      };
    },
    async openTransactions() {
      // A second start under one id is fenced without these (operations.md, fact 7).
      const producer = new Producer({
        ...base,
        idempotent: true,
        transactionalId: `bench-platformatic-${process.pid}`,
        producerId: -1n,
        producerEpoch: -1,
      });
      // Its own group: a member that was killed before would hold the join up for its session.
      const consumer = new Consumer({ ...base, groupId: `${group}-${process.pid}` });
      consumer.topics.trackAll(topic);
      await consumer.joinGroup({});
      return {
        async transact(values, offset) {
          const transaction = await producer.beginTransaction();
          await transaction.send({ messages: messagesOf(values), acks: -1 });
          await transaction.addConsumer(consumer);
          const at: TransactionOffset = {
            topic,
            partition: 0,
            offset: BigInt(offset - 1),
            metadata: { consumer },
          };
          await transaction.addOffset(at as unknown as Message);
          await transaction.commit();
        },
      };
    },
    fetch: (records) => consume(base, topic, records),
    async connect(connections) {
      const producers = Array.from({ length: connections }, () => new Producer(base));
      await Promise.all(producers.map((producer) => producer.metadata({ topics: [topic] })));
    },
  };
}

async function consume(
  base: { readonly clientId: string; readonly bootstrapBrokers: string[] },
  topic: string,
  records: number,
): Promise<number> {
  const consumer = new Consumer({ ...base, groupId: `bench-fetch-${process.pid}` });
  const stream = await consumer.consume({
    topics: [topic],
    mode: "earliest",
    autocommit: false,
    // READ_COMMITTED
    isolationLevel: 1,
    maxWaitTime: 250,
    maxBytes: 4 * 1024 * 1024,
  });
  let seen = 0;
  for await (const message of stream) {
    if (message.partition === 0) seen += 1;
    if (seen >= records) break;
  }
  await consumer.close(true);
  return seen;
}
