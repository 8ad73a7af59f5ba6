import { setTimeout as sleep } from "node:timers/promises";
import {
  type Cluster,
  classifyKafkaError,
  type FetchedPartition,
  type KafkaClient,
  kafkaErrorType,
  openCluster,
} from "./client.ts";
import type { Marker } from "./open-transactions.ts";
import type { RawMessage } from "./record-set.ts";
import { closedSoon, settled } from "./settled.ts";

/** A record as it stands in a partition. */
export type RawRecord = {
  readonly offset: number;
  /** ms since epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  /** Of the transaction it was written in; null: in none. */
  readonly producerId: string | null;
};

/** One answer to a long poll; empty when nothing came within the wait. */
export type Fetched = {
  readonly records: readonly RawRecord[];
  /** Where transactions ended, for readers of `uncommitted` records; empty for the others. */
  readonly markers: readonly Marker[];
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
  /** How long the broker may hold an empty answer, ms; asked before every request. */
  readonly maxWaitMs?: number | (() => number);
  /**
   * While records flow, how long the broker may gather more of them, ms: every answer costs a
   * commit. The first record after a pause never waits. Asked before every request.
   */
  readonly lingerMs?: number | (() => number);
  /**
   * `uncommitted`: records of open and of aborted transactions as well, with the markers that tell
   * which is which (see open-transactions.ts), so that no transaction holds the reader back.
   */
  readonly isolation?: "committed" | "uncommitted";
};

/** How long an answer may take, connecting included, ms: the broker holds it back far less. */
const answerWithinMs = 30_000;

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

type Connections = { readonly cluster: Cluster; connected: boolean };

export function openReader(client: KafkaClient, options: ReaderOptions): PartitionReader {
  const topic = client.topic(options.topic);
  let connections: Connections = { cluster: openCluster(client), connected: false };
  let closed = false;
  let offset = options.from;
  let flowing = false;
  let ahead: Promise<Fetched | undefined> | undefined;

  async function connect(own: Connections): Promise<void> {
    if (own.connected) return;
    await own.cluster.connect();
    await own.cluster.addTargetTopic(topic);
    own.connected = true;
  }

  async function fetchOnce(from: number): Promise<Fetched> {
    // One that was given up goes on with these, not with those that were opened after it.
    const own = connections;
    await connect(own);
    const askedAt = Date.now();
    const broker = await own.cluster.findBroker({
      nodeId: leaderOf(own.cluster, topic, options.partition),
    });
    const maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
    const linger = flowing ? msOf(options.lingerMs, 0) : 0;
    const { responses } = await broker.fetch({
      maxWaitTime: linger > 0 ? linger : msOf(options.maxWaitMs, 250),
      minBytes: linger > 0 ? enoughBytes : 1,
      maxBytes,
      isolationLevel: options.isolation === "uncommitted" ? 0 : 1,
      topics: [
        {
          topic,
          partitions: [{ partition: options.partition, fetchOffset: String(from), maxBytes }],
        },
      ],
    });
    const decode = options.isolation === "uncommitted" ? decodeUncommitted : decodeCommitted;
    return decode(responses[0]?.partitions[0], from, askedAt);
  }

  async function fetchUntilAnswered(from: number): Promise<Fetched | undefined> {
    for (let attempt = 0; !closed; attempt++) {
      try {
        return await settled(fetchOnce(from), answerWithinMs, `fetching ${topic}`);
      } catch (error) {
        if (closed) return undefined;
        if (kafkaErrorType(error) === "OFFSET_OUT_OF_RANGE") {
          throw classifyKafkaError(error, "kafka-unavailable", {
            topic,
            partition: options.partition,
            offset: from,
          });
        }
        await startAnew(error, attempt);
      }
    }
    return undefined;
  }

  /**
   * The broker went away or moved: asks with connections of its own again, at most once a second.
   * Those that saw an error are not used again: kafkajs may take one that has ended for open.
   */
  async function startAnew(error: unknown, attempt: number): Promise<void> {
    if (attempt === 5)
      client.logger.warn(
        { topic, partition: options.partition, err: error },
        "broker does not answer, reading goes on when it does",
      );
    connections.cluster.disconnect().catch(() => undefined);
    connections = { cluster: openCluster(client), connected: false };
    await sleep(Math.min(1000, 20 * 2 ** attempt));
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
      flowing = fetched.records.length > 0;
      ahead = fetchAhead();
      return fetched;
    },
    async close() {
      if (closed) return;
      closed = true;
      await closedSoon(connections.cluster.disconnect());
    },
  };
}

function msOf(wait: number | (() => number) | undefined, otherwise: number): number {
  return typeof wait === "function" ? wait() : (wait ?? otherwise);
}

function leaderOf(cluster: Cluster, topic: string, partition: number): number {
  const found = cluster.findTopicPartitionMetadata(topic).find((p) => p.partitionId === partition);
  if (found === undefined || found.leader < 0)
    throw new Error(`no leader for ${topic}/${partition}`);
  return found.leader;
}

type Decoded = Pick<Fetched, "records" | "markers">;

function decodeFetched(
  data: FetchedPartition | undefined,
  from: number,
  askedAt: number,
  decode: (messages: readonly RawMessage[], data: FetchedPartition) => Decoded,
): Fetched {
  if (data === undefined) {
    const none = { records: [], markers: [], nextOffset: from };
    return { ...none, stableOffset: from, endOffset: from, askedAt };
  }
  // A batch may begin before the offset asked for.
  const messages = data.messages.filter((m) => Number(m.offset) >= from);
  const stable = Number(data.lastStableOffset);
  return {
    ...decode(messages, data),
    nextOffset: Math.max(from, data.messages.nextOffset ?? from),
    stableOffset: stable < 0 ? Number(data.highWatermark) : stable,
    endOffset: Number(data.highWatermark),
    askedAt,
  };
}

function decodeCommitted(
  data: FetchedPartition | undefined,
  from: number,
  askedAt: number,
): Fetched {
  return decodeFetched(data, from, askedAt, (messages, { abortedTransactions }) => ({
    records: committed(messages, abortedTransactions ?? []).map(toRecord),
    markers: [],
  }));
}

function decodeUncommitted(
  data: FetchedPartition | undefined,
  from: number,
  askedAt: number,
): Fetched {
  return decodeFetched(data, from, askedAt, (messages) => ({
    records: messages.filter((m) => !m.isControlRecord).map(toRecord),
    markers: messages.filter((m) => m.isControlRecord && m.key !== null).map(toMarker),
  }));
}

function toMarker({ offset, key, batchContext }: RawMessage): Marker {
  return {
    offset: Number(offset),
    producerId: batchContext.producerId,
    committed: key?.readInt16BE(2) !== abortMarker,
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
    producerId: message.batchContext.inTransaction ? message.batchContext.producerId : null,
  };
}
