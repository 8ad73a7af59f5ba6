import { createAppender } from "../kafka/append.ts";
import { createKafkaClient, type KafkaClient } from "../kafka/client.ts";
import { openReader } from "../kafka/reader.ts";
import { openFence } from "../kafka/transaction.ts";
import { createLog } from "../log.ts";
import { type Client, group } from "./client.ts";
import { connectProducers } from "./client-stock.ts";

function clientOf(brokers: string): KafkaClient {
  const settings = {
    brokers: [brokers],
    clientId: "bench",
    prefix: "",
    compression: "none",
    sessionTimeoutMs: 6000,
    transactionTimeoutMs: 15_000,
  } as const;
  return createKafkaClient(settings, createLog("warn", "bench"));
}

/** kafkajs as the product uses it: patched, tuned, read by infra/kafka/reader.ts. */
export function hardenedKafkaJs(brokers: string, topic: string): Client {
  const client = clientOf(brokers);
  const recordsOf = (values: readonly Buffer[]) =>
    values.map((value) => ({ topic, key: "key", value, partition: 0 }));
  return {
    async openProducer() {
      const appender = createAppender(client);
      return { send: async (values) => void (await appender.append(recordsOf(values))) };
    },
    async openTransactions() {
      const fence = await openFence(client, `bench-ours-${process.pid}`);
      return {
        async transact(values, offset) {
          const transaction = await fence.begin();
          await transaction.send(recordsOf(values));
          await transaction.sendOffset({ group, topic, partition: 0, offset });
          await transaction.commit();
        },
      };
    },
    async fetch(records) {
      const reader = openReader(client, { topic, partition: 0, from: 0 });
      let seen = 0;
      for (let got = await reader.next(); got !== undefined; got = await reader.next()) {
        seen += got.records.length;
        if (seen >= records) break;
      }
      await reader.close();
      return seen;
    },
    connect: (connections) => connectProducers(client.kafkajs, connections),
  };
}
