import type { Codec } from "../schemas/codec.ts";
import type { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import type { Appender, WrittenRun } from "./kafka/append.ts";
import type { KafkaClient } from "./kafka/client.ts";
import { openReader, type RawRecord } from "./kafka/reader.ts";
import { followOwnRecords } from "./own-records.ts";
import { decodeAll } from "./runtime.ts";
import { createWatermark, type Watermark } from "./watermark.ts";

/** A record of a tailed partition; null is a tombstone. */
export type Tailed = {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string;
  readonly record: Tagged | null;
};

export type Tail = {
  /** Resolves when everything that was there at the start has been folded. */
  readonly caughtUp: Promise<void>;
  /** Records between here and the last stable offset seen. */
  behind(): number;
  /** How far it has folded. */
  readonly position: Watermark;
  close(): Promise<void>;
};

/**
 * Folds one partition from an offset on, for as long as the process lives: what gateways do with
 * `requests` and `resources`. What cannot be decoded is skipped here: the processor that owns the
 * topic keeps it in its dead letters, and it changes no state there either.
 *
 * With an appender, what it writes is folded when that is acknowledged: see own-records.ts.
 */
export function tailPartition(
  client: KafkaClient,
  codec: Codec,
  options: {
    readonly topic: string;
    readonly partition: number;
    readonly from: number;
    /** Stop once caught up with what is there: for reading a compacted topic once. */
    readonly once?: boolean;
    /** Where this process appends to the topic. */
    readonly appender?: Appender;
  },
  onRecord: (tailed: Tailed) => void,
  onError: (error: LightningError | Error) => void,
): Tail {
  const { topic, partition } = options;
  const reader = openReader(client, {
    topic,
    partition,
    from: options.from,
    maxWaitMs: options.once ? 20 : 500,
    lingerMs: () => own.lingerMs(),
  });
  let behind = Number.POSITIVE_INFINITY;
  const position = createWatermark(options.from);
  function fold(raw: Pick<RawRecord, "offset" | "timestamp">, key: string, record: Tagged | null) {
    const { offset, timestamp } = raw;
    if (offset >= position.at) onRecord({ partition, offset, timestamp, key, record });
  }

  function foldOwn({ offset, timestamp, records }: WrittenRun): boolean {
    const decoded = records.map(({ value }) => (value === null ? null : codec.decode(value)));
    if (decoded.includes(undefined)) return false;
    for (const [i, { key }] of records.entries()) {
      fold({ offset: offset + i, timestamp }, String(key), decoded[i] ?? null);
    }
    return true;
  }

  const own = followOwnRecords(options, options.appender, position, foldOwn, onError);

  async function run(ready: () => void): Promise<void> {
    for (let fetched = await reader.next(); fetched !== undefined; fetched = await reader.next()) {
      for (const decoded of await decodeAll(codec, fetched.records)) {
        if (!("refused" in decoded)) fold(decoded.raw, decoded.key, decoded.record);
      }
      position.advance(fetched.nextOffset);
      behind = Math.max(0, fetched.stableOffset - fetched.nextOffset);
      if (behind === 0) ready();
      if (behind === 0 && options.once === true) break;
    }
    if (options.once === true) await reader.close();
  }

  const caughtUp = new Promise<void>((resolve, reject) => {
    run(resolve).catch((error) => {
      reject(error);
      onError(error);
    });
  });
  // Whoever does not wait for it hears of a failure through onError.
  caughtUp.catch(() => undefined);
  return {
    caughtUp,
    behind: () => behind,
    position,
    close() {
      own.close();
      return reader.close();
    },
  };
}
