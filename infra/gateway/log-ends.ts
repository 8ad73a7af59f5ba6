import { setTimeout as sleep } from "node:timers/promises";
import {
  type Cluster,
  classifyKafkaError,
  type KafkaClient,
  openCluster,
} from "../kafka/client.ts";

/** The ends of a topic's partitions, asked of the broker whenever somebody must know. */
export type LogEnds = {
  /**
   * First offset behind everything that was in the log at the call, by partition. Callers that come
   * while a request is on its way share the next one, so any number of them cost one at a time.
   * Throws `kafka-unavailable` when the broker does not answer in time.
   */
  now(): Promise<ReadonlyMap<number, number>>;
  close(): Promise<void>;
};

/** How long the broker may be away before whoever asks is told, ms. */
const patienceMs = 10_000;

/** How long a read waits for a fold to come to the log's end, unless it is told otherwise, ms. */
export const readWithinMs = 10_000;

type OffsetsCluster = Cluster & {
  isolationLevel: number;
  fetchTopicsOffset(
    topics: { topic: string; fromBeginning: boolean; partitions: { partition: number }[] }[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
};

/**
 * Keeps one connection for as long as the process lives, because a request on it takes a
 * millisecond and opening it takes twenty.
 *
 * @param isolation `committed`: the last stable offset, where an open transaction begins;
 *   `uncommitted`: behind everything.
 */
export function openLogEnds(
  client: KafkaClient,
  name: string,
  isolation: "committed" | "uncommitted",
): LogEnds {
  const topic = client.topic(name);
  const cluster = openCluster(client) as OffsetsCluster;
  cluster.isolationLevel = isolation === "committed" ? 1 : 0;
  let connected = false;
  let closed = false;

  async function connect(): Promise<void> {
    if (connected) return;
    await cluster.connect();
    await cluster.addTargetTopic(topic);
    connected = true;
  }

  async function ask(): Promise<ReadonlyMap<number, number>> {
    await connect();
    const partitions = cluster
      .findTopicPartitionMetadata(topic)
      .map(({ partitionId }) => ({ partition: partitionId }));
    const [found] = await cluster.fetchTopicsOffset([{ topic, fromBeginning: false, partitions }]);
    return new Map(found?.partitions.map((p) => [p.partition, Number(p.offset)]));
  }

  /** The broker went away or moved: forget the connection and what is known of the topic. */
  async function recover(): Promise<void> {
    connected = false;
    await cluster.disconnect().catch(() => undefined);
  }

  async function askUntilAnswered(): Promise<ReadonlyMap<number, number>> {
    const deadline = Date.now() + patienceMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (closed || Date.now() >= deadline) {
          throw classifyKafkaError(error, "kafka-unavailable", { topic });
        }
        await sleep(Math.min(1000, 20 * 2 ** attempt));
        await recover();
      }
    }
  }

  const shared = shareNext(askUntilAnswered);
  return {
    now: shared,
    async close() {
      closed = true;
      await cluster.disconnect().catch(() => undefined);
    },
  };
}

/**
 * A question that many ask: an answer on its way when somebody asks may be older than the asking,
 * so that one is not shared, but the next is.
 */
export function shareNext<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;

  function start(): Promise<T> {
    next = undefined;
    const asked = ask();
    running = asked;
    const done = (): void => {
      if (running === asked) running = undefined;
    };
    asked.then(done, done);
    return asked;
  }

  return () => {
    if (next !== undefined) return next;
    if (running === undefined) {
      // Everyone who asks in this turn of the event loop shares the request.
      next = new Promise<void>((resolve) => setImmediate(resolve)).then(start);
      return next;
    }
    next = running.then(start, start);
    return next;
  };
}
