import type { Change } from "../processors/task.ts";
import type { Codec } from "../schemas/codec.ts";
import { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import { changelogOf } from "../schemas/topics.ts";
import type { PositionReached } from "../schemas/types.ts";
import type { KafkaClient } from "./kafka/client.ts";
import { type Fetched, openReader } from "./kafka/reader.ts";
import type { Outgoing } from "./kafka/transaction.ts";

const separator = "\u0000";
const positionKey = `${separator}position`;

/** What a changelog partition says: the position of its reader and the rows of its keys. */
export type Restored = { readonly position: PositionReached | null; readonly records: number };

/**
 * Reads a changelog partition from its start to where it ended when asked. Call it after the fence
 * is open: then nobody else can add to what was read. Where readers share a partition, another's
 * open transaction may stand before our last record: it is waited for, not taken for the end, but
 * not longer than a transaction may last.
 *
 * @throws LightningError `kafka-unavailable` when the end is not reached by then, so that somebody hears
 *   of it and the partition is taken over again (infra/decisions/0001-kafka-client.md, "Open").
 * @param reader whose changelog; `partition` is its input partition.
 * @param onRow gets every row in log order, deletions included.
 */
export async function restoreChangelog(
  client: KafkaClient,
  codec: Codec,
  options: { readonly reader: string; readonly partition: number; readonly slot?: string },
  onRow: (change: Change) => void,
): Promise<Restored> {
  const topic = changelogOf(options.reader);
  const wanted = positionKey + (options.slot ?? "");
  const reader = openReader(client, {
    topic,
    partition: options.partition,
    from: 0,
    maxWaitMs: 50,
  });
  let position: PositionReached | null = null;
  let records = 0;
  let end: number | undefined;
  const stalled = stallClock(client.settings.transactionTimeoutMs + 5000);
  try {
    for (let fetched = await reader.next(); fetched !== undefined; fetched = await reader.next()) {
      for (const { key, value } of fetched.records) {
        records += 1;
        const name = key?.toString("utf8") ?? "";
        const row = value === null ? null : await decode(codec, value, topic);
        if (name === wanted) position = row?.type === "PositionReached" ? row.value : null;
        else if (!name.startsWith(positionKey)) onRow({ ...splitRow(name), value: row });
      }
      end ??= fetched.endOffset;
      if (fetched.nextOffset >= end) break;
      if (stalled(fetched.nextOffset)) throw heldBack(topic, options.partition, fetched, end);
    }
  } finally {
    await reader.close();
  }
  return { position, records };
}

/** Tells whether an offset has been the same for so long, ms. */
function stallClock(mostMs: number): (offset: number) => boolean {
  let [last, since] = [-1, 0];
  return (offset) => {
    if (offset !== last) [last, since] = [offset, performance.now()];
    return performance.now() - since > mostMs;
  };
}

function heldBack(
  topic: string,
  partition: number,
  { nextOffset, stableOffset }: Fetched,
  end: number,
): LightningError {
  const message = `${topic}/${partition}: read up to ${nextOffset} of ${end}, an open transaction holds the rest back`;
  return new LightningError("kafka-unavailable", message, { topic, partition, stableOffset });
}

async function decode(codec: Codec, value: Buffer, topic: string): Promise<Tagged> {
  let record = codec.decode(value);
  if (record === undefined) {
    await codec.learn(value);
    record = codec.decode(value);
  }
  if (record === undefined)
    throw new LightningError("schema-unknown", `${topic}: schema not learnt`);
  return record;
}

function splitRow(name: string): { key: string; row: string } {
  const at = name.indexOf(separator);
  return at < 0 ? { key: name, row: "" } : { key: name.slice(0, at), row: name.slice(at + 1) };
}

/** Changed rows as records of the changelog; a deleted row is a tombstone. */
export function changelogRecords(
  codec: Codec,
  reader: string,
  partition: number,
  changes: readonly Change[],
): Outgoing[] {
  const topic = changelogOf(reader);
  return changes.map(({ key, row, value }) => ({
    topic,
    partition,
    key: `${key}${separator}${row}`,
    value: value === null ? null : codec.encode(topic, value),
  }));
}

/** The position as a record of the changelog; `slot` tells readers of several topics apart. */
export function positionRecord(
  codec: Codec,
  reader: string,
  partition: number,
  position: PositionReached,
  slot = "",
): Outgoing {
  const topic = changelogOf(reader);
  return {
    topic,
    partition,
    key: positionKey + slot,
    value: codec.encode(topic, { type: "PositionReached", value: position }),
  };
}
