import type { Logger } from "pino";
import type { Codec } from "../schemas/codec.ts";
import { LightningError, messageOf } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import { deadLettersOf } from "../schemas/topics.ts";
import type { Faults } from "./faults.ts";
import type { KafkaClient } from "./kafka/client.ts";
import type { RawRecord } from "./kafka/reader.ts";
import type { Outgoing } from "./kafka/transaction.ts";
import type { Metrics } from "./metrics.ts";

/** What every reader runs on. */
export type Runtime = {
  readonly client: KafkaClient;
  readonly codec: Codec;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly faults: Faults;
  /** Go on from the earliest record when retention removed unread ones. */
  readonly acceptDataLoss: boolean;
};

/** A running role; `stop` finishes the commit under way, leaves the group and resolves. */
export type Running = {
  stop(): Promise<void>;
  /** Resolves when it stopped, rejects with what a person must act on. */
  readonly done: Promise<void>;
};

/** A record decoded, or the reason why it never will be. */
export type Decoded =
  | { readonly raw: RawRecord; readonly key: string; readonly record: Tagged | null }
  | { readonly raw: RawRecord; readonly refused: LightningError };

const perGroup = 200;

/**
 * Records decoded a few hundred at a time: what is made of a group is garbage before the next one,
 * which costs nothing; thousands of records alive at once are copied by every collection.
 */
export async function* decodeGroups(
  codec: Codec,
  records: readonly RawRecord[],
): AsyncGenerator<Decoded[]> {
  for (let at = 0; at < records.length; at += perGroup) {
    yield await decodeAll(codec, records.slice(at, at + perGroup));
  }
}

/**
 * Decodes records in order. What can never be read comes back as refused.
 *
 * @throws LightningError with a `retry` code when the registry is needed and away.
 */
export async function decodeAll(codec: Codec, records: readonly RawRecord[]): Promise<Decoded[]> {
  const out: Decoded[] = [];
  for (const raw of records) {
    try {
      if (raw.key === null) throw new LightningError("record-malformed", "the record has no key");
      const key = raw.key.toString("utf8");
      let record: Tagged | null = null;
      if (raw.value !== null) {
        record = codec.decode(raw.value) ?? null;
        if (record === null) {
          await codec.learn(raw.value);
          record = codec.decode(raw.value) ?? null;
        }
      }
      out.push({ raw, key, record });
    } catch (error) {
      out.push({ raw, refused: refusalOf(error) });
    }
  }
  return out;
}

/** The error when it condemns the record; anything else is thrown on. */
export function refusalOf(error: unknown): LightningError {
  if (error instanceof LightningError && error.reaction === "dead-letter") return error;
  throw error;
}

/** The dead letter of a record: its bytes, reason and offset. */
export function deadLetter(
  runtime: Runtime,
  reader: string,
  source: { readonly topic: string; readonly partition: number },
  raw: RawRecord,
  error: LightningError,
): Outgoing {
  const topic = deadLettersOf(reader);
  runtime.metrics.deadLettered.inc({ reader, code: error.code });
  runtime.logger.error(
    { reader, ...source, offset: raw.offset, code: error.code, reason: error.message },
    "record refused, kept in the dead letters",
  );
  const value = {
    reader,
    topic: source.topic,
    partition: source.partition,
    offset: raw.offset,
    timestamp: raw.timestamp * 1000,
    key: raw.key,
    value: raw.value,
    headers: { ...raw.headers },
    code: error.code,
    reason: messageOf(error),
    at: Date.now() * 1000,
  };
  return {
    topic,
    key: `${source.topic}/${source.partition}/${raw.offset}`,
    value: runtime.codec.encode(topic, { type: "DeadLettered", value }),
  };
}
