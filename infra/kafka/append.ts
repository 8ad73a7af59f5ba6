import type { Producer } from "kafkajs";
import { LightningError } from "../../schemas/errors.ts";
import { classifyKafkaError, type KafkaClient, requestRetry } from "./client.ts";
import { kafkajs } from "./patches.ts";
import { byTopic, type Outgoing } from "./transaction.ts";

/** Where a record was written. */
export type Written = { readonly partition: number; readonly offset: number };

/**
 * An idempotent producer that many callers share: what is asked while a request is on its way goes
 * into the next one, so that throughput does not pay for the round trip.
 */
export type Appender = {
  /** Resolves when all records are durable (acks=all). Throws `kafka-unavailable`, `too-large`. */
  append(records: readonly Outgoing[]): Promise<void>;
  close(): Promise<void>;
};

type Waiting = {
  readonly records: readonly Outgoing[];
  readonly bytes: number;
  resolve(): void;
  reject(error: unknown): void;
};

const maxRequestBytes = 8 * 1024 * 1024;

/** @param maxWaitingBytes what callers may have waiting before they get `overloaded`. */
export function createAppender(client: KafkaClient, maxWaitingBytes = 256 * 1024 * 1024): Appender {
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let sending: Promise<void> | undefined;
  let producer: Promise<Producer> | undefined;
  let closed = false;

  async function connect(): Promise<Producer> {
    const fresh = client.kafkajs.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      retry: requestRetry,
      metadataMaxAge: 60_000,
    });
    await fresh.connect();
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
      await (await producer).sendBatch({
        topicMessages: byTopic(
          client,
          taken.flatMap((w) => w.records),
        ),
        acks: -1,
        compression: client.compression,
      });
      for (const w of taken) w.resolve();
    } catch (error) {
      await discardProducer();
      const failed = classifyKafkaError(error, "kafka-unavailable", {});
      for (const w of taken) w.reject(failed);
    }
  }

  /**
   * A producer that saw an error may have counted a sequence number back that the broker has used:
   * its next batch would be taken for a duplicate, acknowledged and dropped. It is never used again.
   */
  async function discardProducer(): Promise<void> {
    const old = producer;
    producer = undefined;
    await old?.then((p) => p.disconnect()).catch(() => undefined);
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
      if (records.length === 0) return Promise.resolve();
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
    async close() {
      closed = true;
      await sending;
      await discardProducer();
    },
  };
}
