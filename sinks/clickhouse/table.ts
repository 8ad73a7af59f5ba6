import { LightningError, messageOf } from "../../schemas/errors.ts";
import {
  createWriter,
  type Field,
  field,
  int32,
  int64,
  type Kind,
  millis,
  type Writer,
  word,
  writeLength,
  writeText,
} from "./rowbinary.ts";

/** Where a record stands in Kafka; the timestamp is its own, ms since epoch. */
export type Place = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string;
};

/** What one row is made of: the record's value and its place. */
export type Source<V> = Place & { readonly value: V };

/**
 * Records that producers may append twice. A row is known by `identity`, the values of the table's
 * key columns. A lookup is narrowed by two of those: `scope` has few values in a delivery, `id` many.
 */
export type Repeats<V> = {
  readonly columns: readonly [scope: string, id: string];
  readonly scope: (source: Source<V>) => string;
  readonly id: (source: Source<V>) => string | number;
  readonly identity: (source: Source<V>) => readonly (string | number)[];
};

export type Table<V> = {
  readonly name: string;
  /** The columns that name a row once and for all: the table's ORDER BY. */
  readonly key: readonly string[];
  readonly columns: readonly Field<Source<V>>[];
  /** Null for records that the log has once. */
  readonly repeats: Repeats<V> | null;
};

/** One row on its way into its table. */
export type Row = {
  readonly table: TableShape;
  readonly offset: number;
  /** What the row is known by where a producer may repeat it, else null. */
  readonly known: Known | null;
  readonly write: (out: Writer) => void;
};

export type Known = {
  readonly scope: string;
  readonly id: string | number;
  readonly identity: string;
};

/** A table without the type of its rows. */
export type TableShape = {
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: readonly { readonly name: string; readonly sql: string }[];
  readonly repeats: { readonly columns: readonly [scope: string, id: string] } | null;
};

/** The column that carries a field of the record under its own name. */
export function same<V, F extends keyof V & string>(name: F, kind: Kind<V[F]>): Field<Source<V>> {
  return field(name, kind, (source) => source.value[name]);
}

/** The last columns of every table. */
export const kafkaColumns: readonly Field<Place>[] = [
  field("kafka_topic", word, (place) => place.topic),
  field("kafka_partition", int32, (place) => place.partition),
  field("kafka_offset", int64, (place) => place.offset),
  field("kafka_timestamp", millis, (place) => place.timestamp),
];

export function row<V>(table: Table<V>, source: Source<V>): Row {
  const { repeats } = table;
  return {
    table,
    offset: source.offset,
    known: repeats === null ? null : known(repeats, source),
    write: (out) => {
      for (const column of table.columns) writeColumn(table, column, out, source);
    },
  };
}

function known<V>(repeats: Repeats<V>, source: Source<V>): Known {
  return {
    scope: repeats.scope(source),
    id: repeats.id(source),
    identity: identityOf(repeats.identity(source)),
  };
}

/** The values of a key as one text; ClickHouse's answers are put through it as well. */
export function identityOf(key: readonly (string | number)[]): string {
  return key.map(String).join("\u0000");
}

function writeColumn<V>(
  table: Table<V>,
  column: Field<Source<V>>,
  out: Writer,
  source: Source<V>,
): void {
  try {
    column.write(out, source);
  } catch (error) {
    throw new LightningError("row-refused", `${table.name}.${column.name}: ${messageOf(error)}`, {
      cause: error,
      offset: source.offset,
      table: table.name,
      column: column.name,
    });
  }
}

/**
 * Rows of one table as RowBinaryWithNamesAndTypes. Throws `row-refused` with `fields.offset` for
 * the first row that cannot be written.
 */
export function encodeRows(table: TableShape, rows: readonly Row[]): Buffer {
  const out = createWriter();
  writeLength(out, table.columns.length);
  for (const column of table.columns) writeText(out, column.name);
  for (const column of table.columns) writeText(out, column.sql);
  for (const each of rows) each.write(out);
  return out.bytes.subarray(0, out.end);
}
