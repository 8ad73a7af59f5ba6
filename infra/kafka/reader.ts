import { setTimeout as sleep } from "node:timers/promises";
import {
  type Cluster,
  classifyKafkaError,
  type FetchedPartition,
  type KafkaClient,
  kafkaErrorType,
  openCluster,
} from "./client.ts";
import type { RawMessage } from "./record-set.ts";

/** A record as it stands in a partition. */
export type RawRecord = {
  readonly offset: number;
  /** ms since epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
};

/** One answer to a long poll; empty when nothing came within the wait. */
export type Fetched = {
  readonly records: readonly RawRecord[];
  /** Offset to go on from: beyond the last record, and beyond control records behind it. */
  readonly nextOffset: number;
  /** Last stable offset when the broker answered: nothing committed is beyond it. */
  readonly stableOffset: number;
  /** End of the partition then, open transactions included. */
  readonly endOffset: number;
  /** ms since epoch, taken before the request: time up to here is covered when caught up. */
  readonly askedAt: number;
};

export type ReaderOptions = {
  readonly topic: string;
  readonly partition: number;
  /** First offset to read. */
  readonly from: number;
  readonly maxBytes?: number;
  /** How long the broker may hold an empty answer, ms. */
  readonly maxWaitMs?: number;
  /**
   * While records flow, how long the broker may gather more of them, ms: every answer costs a
   * commit. The first record after a pause never waits.
   */
  readonly lingerMs?: number;
};

/** Bytes that end the gathering early. */
const enoughBytes = 512 * 1024;

/**
 * Committed records of one partition, from an offset on, in order, without a consumer group: the
 * offset is ours alone, so nothing can move it. One request is always ahead of the caller; not
 * calling `next` is backpressure. Survives broker restarts and leader changes.
 */
export type PartitionReader = {
  /** Throws `data-lost` when the offset was removed by retention; undefined after close. */
  next(): Promise<Fetched | undefined>;
  close(): Promise<void>;
};

export function openReader(client: KafkaClient, options: ReaderOptions): PartitionReader {
  const topic = client.topic(options.topic);
  const cluster = openCluster(client);
  let closed = false;
  let connected = false;
  let offset = options.from;
  const lingerMs = options.lingerMs ?? 0;
  let flowing = false;
  let ahead: Promise<Fetched | undefined> | undefined;

  async function connect(): Promise<void> {
    if (connected) return;
    await cluster.connect();
    await cluster.addTargetTopic(topic);
    connected = true;
  }

  async function fetchOnce(from: number): Promise<Fetched> {
    await connect();
    const askedAt = Date.now();
    const broker = await cluster.findBroker({
      nodeId: leaderOf(cluster, topic, options.partition),
    });
    const maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
    const { responses } = await broker.fetch({
      maxWaitTime: flowing ? lingerMs : (options.maxWaitMs ?? 250),
      minBytes: flowing ? enoughBytes : 1,
      maxBytes,
      isolationLevel: 1,
      topics: [
        {
          topic,
          partitions: [{ partition: options.partition, fetchOffset: String(from), maxBytes }],
        },
      ],
    });
    return decodeFetched(responses[0]?.partitions[0], from, askedAt);
  }

  async function fetchUntilAnswered(from: number): Promise<Fetched | undefined> {
    for (let attempt = 0; !closed; attempt++) {
      try {
        return await fetchOnce(from);
      } catch (error) {
        if (closed) return undefined;
        if (kafkaErrorType(error) === "OFFSET_OUT_OF_RANGE") {
          throw classifyKafkaError(error, "kafka-unavailable", {
            topic,
            partition: options.partition,
            offset: from,
          });
        }
        await recover(error, attempt);
      }
    }
    return undefined;
  }

  /** The broker went away or moved: forget what is known of it and ask again, at most once a second. */
  async function recover(error: unknown, attempt: number): Promise<void> {
    if (attempt === 5)
      client.logger.warn(
        { topic, partition: options.partition, err: error },
        "broker does not answer, reading goes on when it does",
      );
    await sleep(Math.min(1000, 20 * 2 ** attempt));
    const address = error as { host?: string; port?: number };
    if (address.host !== undefined && address.port !== undefined) {
      cluster.removeBroker({ host: address.host, port: address.port });
    }
    try {
      if (connected) await cluster.refreshMetadata();
    } catch {
      // The next attempt connects anew.
      connected = false;
      await cluster.disconnect().catch(() => undefined);
    }
  }

  function fetchAhead(): Promise<Fetched | undefined> {
    const fetched = fetchUntilAnswered(offset);
    // The caller may be busy when this fails; it hears of it at its next call.
    fetched.catch(() => undefined);
    return fetched;
  }

  return {
    async next() {
      if (closed) return undefined;
      const fetched = await (ahead ?? fetchAhead());
      if (fetched === undefined) return undefined;
      offset = fetched.nextOffset;
      flowing = lingerMs > 0 && fetched.records.length > 0;
      ahead = fetchAhead();
      return fetched;
    },
    async close() {
      if (closed) return;
      closed = true;
      await cluster.disconnect().catch(() => undefined);
    },
  };
}

function leaderOf(cluster: Cluster, topic: string, partition: number): number {
  const found = cluster.findTopicPartitionMetadata(topic).find((p) => p.partitionId === partition);
  if (found === undefined || found.leader < 0)
    throw new Error(`no leader for ${topic}/${partition}`);
  return found.leader;
}

function decodeFetched(data: FetchedPartition | undefined, from: number, askedAt: number): Fetched {
  if (data === undefined)
    return { records: [], nextOffset: from, stableOffset: from, endOffset: from, askedAt };
  // A batch may begin before the offset asked for.
  const messages = data.messages.filter((m) => Number(m.offset) >= from);
  const stable = Number(data.lastStableOffset);
  return {
    records: committed(messages, data.abortedTransactions ?? []).map(toRecord),
    nextOffset: Math.max(from, data.messages.nextOffset ?? from),
    stableOffset: stable < 0 ? Number(data.highWatermark) : stable,
    endOffset: Number(data.highWatermark),
    askedAt,
  };
}

const abortMarker = 0;

/**
 * Messages of no aborted transaction, without control records. kafkajs' own filter takes up one
 * aborted transaction per message, so with several open at the first message it lets the records
 * of the others through; here all that began by then are taken up.
 */
export function committed(
  messages: readonly RawMessage[],
  aborted: readonly { producerId: string; firstOffset: string }[],
): RawMessage[] {
  const waiting = [...aborted].sort((a, b) => Number(a.firstOffset) - Number(b.firstOffset));
  const open = new Set<string>();
  return messages.filter((message) => {
    while (waiting[0] !== undefined && Number(waiting[0].firstOffset) <= Number(message.offset)) {
      open.add(waiting[0].producerId);
      waiting.shift();
    }
    const { producerId, inTransaction } = message.batchContext;
    if (message.isControlRecord) {
      if (message.key !== null && message.key.readInt16BE(2) === abortMarker)
        open.delete(producerId);
      return false;
    }
    return !(inTransaction && open.has(producerId));
  });
}

function toRecord(message: RawMessage): RawRecord {
  return {
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: message.headers,
  };
}
