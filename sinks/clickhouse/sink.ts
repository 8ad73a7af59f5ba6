import type { Delivered, Delivery, Sink } from "../sink.ts";
import type { ClickHouseClient } from "./client.ts";
import { insertRows } from "./insert.ts";
import { withoutKnown } from "./repeats.ts";
import { rowOf, tables } from "./rows.ts";
import type { Row, TableShape } from "./table.ts";

export type ClickHouseSinkOptions = {
  /** Connected to the database that `migrate` made. */
  readonly client: ClickHouseClient;
  /** Dead-letter topics to keep as well; `<reader>.dead-letters`. */
  readonly deadLetters?: readonly string[];
};

/** Topics of the product that become tables. */
export const reads = [
  "rollouts",
  "spans",
  "steps",
  "transitions",
  "resources",
  "batches",
  "workers",
] as const;

/**
 * The log → ClickHouse. One insert per delivery and table, whole or not at all, under a token made
 * of the delivery's boundaries: a repetition is swallowed by the server. Records that a producer
 * appended twice are looked up first, so `count()` is right without FINAL. Tables are written in one
 * order: who sees the closing record of a rollout or a group sees its rows.
 *
 * Throws `row-refused` with `fields.offset` when one record cannot become a row; nothing of its
 * table has been written then, and the delivery may be written again without it. Everything else
 * ClickHouse answers, or does not, is `clickhouse-unavailable`.
 */
export function createClickHouseSink({ client, deadLetters = [] }: ClickHouseSinkOptions): Sink {
  return {
    name: "clickhouse",
    reads: [...reads, ...deadLetters],
    async write(delivery) {
      const grouped = group(delivery);
      for (const table of tables) {
        const rows = grouped.get(table) ?? [];
        const fresh = await withoutKnown(client, table, rows);
        if (fresh.length > 0) await insertRows(client, table, fresh, tokenOf(delivery, table));
      }
    },
  };
}

function tokenOf({ topic, partition, firstOffset, lastOffset }: Delivery, table: TableShape) {
  return `${topic}/${partition}/${firstOffset}-${lastOffset}/${table.name}`;
}

function group(delivery: Delivery): Map<TableShape, Row[]> {
  const tables = new Map<TableShape, Row[]>();
  for (const delivered of delivery.records) {
    const row = toRow(delivery, delivered);
    if (row === null) continue;
    const rows = tables.get(row.table);
    if (rows === undefined) tables.set(row.table, [row]);
    else rows.push(row);
  }
  return tables;
}

/** A tombstone says that the log forgets a rollout; ClickHouse remembers it. */
function toRow(delivery: Delivery, { record, key, offset, timestamp }: Delivered): Row | null {
  if (record === null) return null;
  const { topic, partition } = delivery;
  return rowOf(record, { topic, partition, offset, timestamp, key });
}
