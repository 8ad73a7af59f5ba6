import { splitKey } from "../../../schemas/topics.ts";
import type { DeadLettered } from "../../../schemas/types.ts";
import {
  bytes,
  dictionary,
  field,
  int32,
  int64,
  micros,
  optional,
  text,
  word,
} from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";

/** Project of the record that was refused, as far as its key says; empty when it had none. */
function projectOf(key: Uint8Array | null): string {
  return key === null ? "" : splitKey(Buffer.from(key).toString("utf8")).project;
}

export const deadLetters: Table<DeadLettered> = {
  name: "dead_letters",
  key: ["reader", "source_topic", "source_partition", "source_offset"],
  repeats: {
    columns: ["reader", "source_offset"],
    scope: ({ value }) => value.reader,
    id: ({ value }) => value.offset,
    identity: ({ value }) => [value.reader, value.topic, value.partition, value.offset],
  },
  columns: [
    same("reader", word),
    field("source_topic", word, ({ value: v }) => v.topic),
    field("source_partition", int32, ({ value: v }) => v.partition),
    field("source_offset", int64, ({ value: v }) => v.offset),
    field("source_timestamp", micros, ({ value: v }) => v.timestamp),
    field("project", word, ({ value: v }) => projectOf(v.key)),
    same("key", optional(bytes)),
    same("value", optional(bytes)),
    same("headers", dictionary(bytes, text)),
    same("code", word),
    same("reason", text),
    same("at", micros),
    ...kafkaColumns,
  ],
};
