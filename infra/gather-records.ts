import type { PartitionReader, RawRecord } from "./kafka/reader.ts";

export type DeliveryLimits = {
  /** Records in one delivery at most. */
  readonly maxRecords: number;
  /** Bytes of records in one delivery, about. */
  readonly maxBytes: number;
  /** How long the first record of a delivery waits for company, ms. */
  readonly lingerMs: number;
};

export const defaultLimits: DeliveryLimits = {
  maxRecords: 20_000,
  maxBytes: 32 * 1024 * 1024,
  lingerMs: 1000,
};

/** What was gathered for one delivery; undefined when reading has ended. */
export type Gathered = readonly RawRecord[] | undefined;

/** A delivery being gathered; `started` once it has a record. */
export type Gathering = { readonly done: Promise<Gathered>; readonly started: boolean };

/**
 * Gathers records from an offset on until a limit is reached or the first of them has waited long
 * enough. Nothing came: an empty list.
 *
 * @param onLag told how many committed records are still unread.
 */
export function gather(
  reader: PartitionReader,
  limits: DeliveryLimits,
  from: number,
  signal: AbortSignal,
  onLag: (records: number) => void,
): Gathering {
  const records: RawRecord[] = [];
  const done = run();
  // Whoever asks for it hears of a failure; nobody has to.
  done.catch(() => undefined);
  return {
    done,
    get started() {
      return records.length > 0;
    },
  };

  async function run(): Promise<Gathered> {
    let bytes = 0;
    let deadline = Number.POSITIVE_INFINITY;
    while (records.length < limits.maxRecords && bytes < limits.maxBytes && Date.now() < deadline) {
      const fetched = await reader.next();
      if (fetched === undefined || signal.aborted) return undefined;
      for (const record of fetched.records) {
        if (record.offset < from) continue;
        records.push(record);
        bytes += record.value?.length ?? 0;
      }
      onLag(Math.max(0, fetched.stableOffset - fetched.nextOffset));
      if (records.length === 0) return records;
      if (deadline === Number.POSITIVE_INFINITY) deadline = Date.now() + limits.lingerMs;
    }
    return records;
  }
}
