import type { Codec } from "../schemas/codec.ts";
import type { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import type { KafkaClient } from "./kafka/client.ts";
import { openReader } from "./kafka/reader.ts";
import { decodeAll } from "./runtime.ts";

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
  close(): Promise<void>;
};

/**
 * Folds one partition from an offset on, for as long as the process lives: what gateways do with
 * `requests` and `resources`. What cannot be decoded is skipped here: the processor that owns the
 * topic keeps it in its dead letters, and it changes no state there either.
 *
 * @param until stop once caught up with what is there: for reading a compacted topic once.
 */
export function tailPartition(
  client: KafkaClient,
  codec: Codec,
  options: {
    readonly topic: string;
    readonly partition: number;
    readonly from: number;
    readonly once?: boolean;
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
  });
  let behind = Number.POSITIVE_INFINITY;

  async function run(ready: () => void): Promise<void> {
    for (let fetched = await reader.next(); fetched !== undefined; fetched = await reader.next()) {
      for (const decoded of await decodeAll(codec, fetched.records)) {
        if ("refused" in decoded) continue;
        const { offset, timestamp } = decoded.raw;
        onRecord({ partition, offset, timestamp, key: decoded.key, record: decoded.record });
      }
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
  return { caughtUp, behind: () => behind, close: () => reader.close() };
}
