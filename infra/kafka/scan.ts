import type { KafkaClient } from "./client.ts";
import { type Fetched, openReader } from "./reader.ts";

export type Range = {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  /** First offset not to read. */
  readonly to: number;
};

/**
 * Committed records of a range of one partition, as they are now: ends at `to`, or before it where
 * an open transaction holds the rest back.
 */
export async function* scan(client: KafkaClient, range: Range): AsyncGenerator<Fetched> {
  if (range.from >= range.to) return;
  const reader = openReader(client, { ...range, maxWaitMs: 100 });
  try {
    for (;;) {
      const fetched = await reader.next();
      if (fetched === undefined) return;
      yield { ...fetched, records: fetched.records.filter((r) => r.offset < range.to) };
      if (fetched.nextOffset >= Math.min(range.to, fetched.stableOffset)) return;
    }
  } finally {
    await reader.close();
  }
}

/** What a range holds for a reader. Offsets are more: transaction markers occupy some. */
export type Unread = {
  /** Committed records; when not `exact`, at most so many. */
  readonly records: number;
  readonly exact: boolean;
  /** Offsets of the range that an open transaction holds back. */
  readonly heldBack: number;
};

/**
 * Counts the records of a range by reading it, because offsets do not say: a reader that has read
 * everything stands before the marker of the last transaction. After `maxBytes` it stops, and the
 * rest counts one record per offset.
 */
export async function countUnread(
  client: KafkaClient,
  range: Range,
  maxBytes = 8 * 1024 * 1024,
): Promise<Unread> {
  return tally(scan(client, range), range, maxBytes);
}

/** The arithmetic of {@link countUnread}. */
export async function tally(
  fetches: AsyncIterable<Fetched>,
  { from, to }: Pick<Range, "from" | "to">,
  maxBytes: number,
): Promise<Unread> {
  let records = 0;
  let bytes = 0;
  let next = from;
  let stable = to;
  for await (const fetched of fetches) {
    records += fetched.records.length;
    bytes += fetched.records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    next = fetched.nextOffset;
    stable = Math.min(to, fetched.stableOffset);
    if (bytes >= maxBytes) break;
  }
  const rest = Math.max(0, stable - next);
  return { records: records + rest, exact: rest === 0, heldBack: Math.max(0, to - stable) };
}
