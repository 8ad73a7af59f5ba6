import type { Message, Producer, Transaction } from "kafkajs";
import { classifyKafkaError, type KafkaClient, transactionRetry } from "./client.ts";
import { kafkajs } from "./patches.ts";
import { closedSoon, settled } from "./settled.ts";

/** A record to send; without a partition the key decides (murmur2, as Java's clients do). */
export type Outgoing = {
  readonly topic: string;
  readonly key: string | Buffer;
  readonly value: Buffer | null;
  readonly partition?: number;
  readonly headers?: Readonly<Record<string, Buffer>>;
};

export type CommitOffset = {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
};

/**
 * The right to write for one input partition. Opening it fences whoever had it; after any error it
 * is spent: close it and open another (operations.md 2.2).
 */
export type Fence = {
  /** Begins a transaction. One at a time. */
  begin(): Promise<FencedTransaction>;
  close(): Promise<void>;
};

/** Every call throws `fenced` when another instance took over, else `commit-indefinite`. */
export type FencedTransaction = {
  send(records: readonly Outgoing[]): Promise<void>;
  sendOffset(offset: CommitOffset): Promise<void>;
  commit(): Promise<void>;
};

/** How long opening a fence may take, and each call of a transaction, ms. */
const withinMs = { open: 20_000, call: 60_000 };

/** Largest produce request, bytes: a record batch must stay below the topic's 16 MiB. */
const maxRequestBytes = 8 * 1024 * 1024;

export async function openFence(client: KafkaClient, transactionalId: string): Promise<Fence> {
  const id = `${client.settings.prefix}${transactionalId}`;
  const producer = client.kafkajs.producer({
    transactionalId: id,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: client.settings.transactionTimeoutMs,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    retry: transactionRetry,
    metadataMaxAge: 60_000,
  });
  try {
    await settled(endPredecessor(producer), withinMs.open, `opening ${id}`);
  } catch (error) {
    await closedSoon(producer.disconnect());
    throw classifyKafkaError(error, "kafka-unavailable", { transactionalId: id });
  }
  return {
    begin: async () => beginTransaction(client, producer, id),
    close: () => closedSoon(producer.disconnect()),
  };
}

/**
 * kafkajs asks for the producer id at the first transaction, not on connecting: only an empty one
 * makes the coordinator end the predecessor now, before its changelog is read.
 */
async function endPredecessor(producer: Producer): Promise<void> {
  await producer.connect();
  await (await producer.transaction()).abort();
}

async function beginTransaction(
  client: KafkaClient,
  producer: Producer,
  transactionalId: string,
): Promise<FencedTransaction> {
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      const what = `a call of ${transactionalId}`;
      return await settled(work(), withinMs.call, what, "commit-indefinite");
    } catch (error) {
      throw classifyKafkaError(error, "commit-indefinite", { transactionalId });
    }
  };
  const transaction: Transaction = await guard(() => producer.transaction());
  return {
    send: (records) =>
      guard(async () => {
        for (const part of inRequests(records)) {
          await transaction.sendBatch({
            topicMessages: byTopic(client, part),
            acks: -1,
            compression: client.compression,
          });
        }
      }),
    sendOffset: ({ group, topic, partition, offset }) =>
      guard(() =>
        transaction.sendOffsets({
          consumerGroupId: `${client.settings.prefix}${group}`,
          topics: [
            { topic: client.topic(topic), partitions: [{ partition, offset: String(offset) }] },
          ],
        }),
      ),
    commit: () => guard(() => transaction.commit()),
  };
}

/** Splits records, in order, into requests of bounded size. */
export function* inRequests(records: readonly Outgoing[]): Generator<Outgoing[]> {
  let part: Outgoing[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = (record.value?.length ?? 0) + record.key.length + 64;
    if (part.length > 0 && bytes + size > maxRequestBytes) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(record);
    bytes += size;
  }
  if (part.length > 0) yield part;
}

/** Records by topic, as kafkajs takes them; order within a topic is kept. */
export function byTopic(
  client: KafkaClient,
  records: readonly Outgoing[],
): { topic: string; messages: Message[] }[] {
  const topics = new Map<string, Message[]>();
  for (const { topic, key, value, partition, headers } of records) {
    const messages = topics.get(topic) ?? [];
    topics.set(topic, messages);
    messages.push({
      key,
      value,
      ...(partition === undefined ? {} : { partition }),
      ...(headers === undefined ? {} : { headers }),
    });
  }
  return [...topics].map(([topic, messages]) => ({ topic: client.topic(topic), messages }));
}
