import type { Message, Producer, RecordMetadata } from "kafkajs";
import { LightningError } from "../../schemas/errors.ts";
import { classifyKafkaError, type KafkaClient, requestRetry } from "./client.ts";
import { kafkajs } from "./patches.ts";
import { closedSoon, settled } from "./settled.ts";
import { byTopic, type Outgoing } from "./transaction.ts";

/** Where a record was written; -1: the broker did not say. */
export type Written = { readonly partition: number; readonly offset: number };

/**
 * An idempotent producer that many callers share: what is asked while a request is on its way goes
 * into the next one, so that throughput does not pay for the round trip.
 */
export type Appender = {
  /**
   * Resolves when all records are durable (acks=all), with the place of each. Throws
   * `kafka-unavailable`, `too-large`.
   */
  append(records: readonly Outgoing[]): Promise<readonly Written[]>;
  /**
   * Tells what of a topic became durable, before those who appended it hear of it.
   *
   * @returns ends the telling.
   */
  listen(topic: string, onWritten: (run: WrittenRun) => void): () => void;
  close(): Promise<void>;
};

/** Records that stand behind each other in a partition, from `offset` on. */
export type WrittenRun = {
  readonly partition: number;
  readonly offset: number;
  /** The log's own clock, ms since epoch. */
  readonly timestamp: number;
  readonly records: readonly Outgoing[];
};

type Waiting = {
  readonly records: readonly Outgoing[];
  readonly bytes: number;
  resolve(written: readonly Written[]): void;
  reject(error: unknown): void;
};

const maxRequestBytes = 8 * 1024 * 1024;

/** How long connecting may take, and a request with its repetitions, ms. */
const withinMs = 60_000;

/** @param maxWaitingBytes what callers may have waiting before they get `overloaded`. */
export function createAppender(client: KafkaClient, maxWaitingBytes = 256 * 1024 * 1024): Appender {
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let sending: Promise<void> | undefined;
  let producer: Promise<Producer> | undefined;
  let closed = false;
  const listeners = new Map<string, Set<(run: WrittenRun) => void>>();

  async function connect(): Promise<Producer> {
    const fresh = client.kafkajs.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: () => noting(kafkajs.Partitioners.DefaultPartitioner()),
      retry: requestRetry,
      metadataMaxAge: 60_000,
    });
    await settled(fresh.connect(), withinMs, "connecting");
    return fresh;
  }

  /** Takes what fits into one request; the first always does. */
  function takeRequest(): Waiting[] {
    const taken: Waiting[] = [];
    let bytes = 0;
    for (let head = waiting[0]; head !== undefined; head = waiting[0]) {
      if (taken.length > 0 && bytes + head.bytes > maxRequestBytes) break;
      waiting.shift();
      taken.push(head);
      bytes += head.bytes;
    }
    waitingBytes -= bytes;
    return taken;
  }

  async function sendRequest(taken: readonly Waiting[]): Promise<void> {
    try {
      producer ??= connect();
      const topicMessages = byTopic(
        client,
        taken.flatMap((w) => w.records),
      );
      const connected = await producer;
      const sent = connected.sendBatch({
        topicMessages,
        acks: -1,
        compression: client.compression,
      });
      const answered = await settled(sent, withinMs, "a produce request");
      const placeOf = placesIn(topicMessages, answered);
      const places = taken.map((w) => w.records.map(({ topic }) => placeOf(client.topic(topic))));
      if (listeners.size > 0) tell(taken, places, answered);
      for (const [i, w] of taken.entries()) w.resolve(places[i] ?? []);
    } catch (error) {
      await discardProducer();
      const failed = classifyKafkaError(error, "kafka-unavailable", {});
      for (const w of taken) w.reject(failed);
    }
  }

  function tell(
    taken: readonly Waiting[],
    places: readonly (readonly Written[])[],
    answered: readonly RecordMetadata[],
  ): void {
    const timeOf = (topic: string, partition: number): number => {
      const found = answered.find((a) => a.topicName === topic && a.partition === partition);
      return Number(found?.logAppendTime ?? -1);
    };
    const runs = new Map<string, WrittenRun & { topic: string; records: Outgoing[] }>();
    for (const [i, w] of taken.entries()) {
      for (const [k, record] of w.records.entries()) {
        const { topic } = record;
        if (!listeners.has(topic)) continue;
        const { partition = -1, offset = -1 } = places[i]?.[k] ?? {};
        const run = runs.get(`${topic}/${partition}`);
        if (run !== undefined) run.records.push(record);
        else if (offset >= 0) {
          const timestamp = timeOf(client.topic(topic), partition);
          const begun = { topic, partition, offset, timestamp, records: [record] };
          if (timestamp >= 0) runs.set(`${topic}/${partition}`, begun);
        }
      }
    }
    for (const run of runs.values()) {
      for (const listener of listeners.get(run.topic) ?? []) listener(run);
    }
  }

  /**
   * A producer that saw an error may have counted a sequence number back that the broker has used:
   * its next batch would be taken for a duplicate, acknowledged and dropped. It is never used again.
   */
  async function discardProducer(): Promise<void> {
    const old = producer;
    producer = undefined;
    if (old !== undefined) await closedSoon(old.then((p) => p.disconnect()));
  }

  async function drain(): Promise<void> {
    // Everything asked for in this turn of the event loop shares the request.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) await sendRequest(takeRequest());
    sending = undefined;
  }

  return {
    append(records) {
      if (closed)
        return Promise.reject(new LightningError("kafka-unavailable", "the producer is closed"));
      if (records.length === 0) return Promise.resolve([]);
      const bytes = records.reduce((sum, r) => sum + (r.value?.length ?? 0) + r.key.length + 64, 0);
      if (waitingBytes + bytes > maxWaitingBytes && waiting.length > 0) {
        return Promise.reject(
          new LightningError(
            "overloaded",
            `${waitingBytes} bytes wait for the broker already, ${maxWaitingBytes} may`,
          ),
        );
      }
      return new Promise((resolve, reject) => {
        waiting.push({ records, bytes, resolve, reject });
        waitingBytes += bytes;
        sending ??= drain();
      });
    },
    listen(topic, onWritten) {
      const others = listeners.get(topic) ?? new Set();
      listeners.set(topic, others.add(onWritten));
      return () => {
        others.delete(onWritten);
        if (others.size === 0) listeners.delete(topic);
      };
    },
    async close() {
      closed = true;
      await sending;
      await discardProducer();
    },
  };
}

/** A message that knows where it went: the client tells only where each batch began. */
type Noted = Message & { chosen?: number };
type Partitioner = (args: { message: Noted }) => number;

function noting(choose: (args: never) => number): Partitioner {
  return (args) => {
    args.message.chosen = choose(args as never);
    return args.message.chosen;
  };
}

/**
 * The places of the messages, topic by topic in the order they were given: those of a partition
 * stand behind each other from where its batch began.
 */
function placesIn(
  sent: readonly { readonly topic: string; readonly messages: readonly Noted[] }[],
  answered: readonly RecordMetadata[],
): (topic: string) => Written {
  const next = new Map<string, number>();
  for (const { topicName, partition, baseOffset } of answered) {
    next.set(`${topicName}/${partition}`, Number(baseOffset ?? -1));
  }
  const places = new Map<string, Iterator<Written>>();
  for (const { topic, messages } of sent) {
    const written = messages.map(({ chosen = -1 }) => {
      const slot = `${topic}/${chosen}`;
      const offset = next.get(slot) ?? -1;
      if (offset >= 0) next.set(slot, offset + 1);
      return { partition: chosen, offset };
    });
    places.set(topic, written.values());
  }
  return (topic) => places.get(topic)?.next().value ?? { partition: -1, offset: -1 };
}
