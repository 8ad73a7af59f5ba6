import { unpackFloat64, unpackInt32 } from "../../../schemas/bytes.ts";
import type {
  AttemptEnded,
  Attributes,
  SpanEvent,
  SpanLink,
  SpanRecorded,
} from "../../../schemas/types.ts";
import {
  bool,
  dictionary,
  type Field,
  field,
  float64,
  float64s,
  int32,
  int32s,
  int64,
  type Kind,
  list,
  micros,
  nanos,
  optional,
  optionalWord,
  text,
  tuple,
  word,
} from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";
import { creditColumns } from "./credit.ts";

/** Attributes by type, as SQL wants them: numbers stay numbers, token ids are arrays. */
const typed: Kind<Attributes> = tuple<Attributes>([
  field("strings", dictionary(text), (a) => a.strings),
  field("longs", dictionary(int64), (a) => a.longs),
  field("doubles", dictionary(float64), (a) => a.doubles),
  field("booleans", dictionary(bool), (a) => a.booleans),
  field("int_lists", dictionary(int32s), (a) => a.int_lists),
  field("double_lists", dictionary(float64s), (a) => a.double_lists),
  field("json", dictionary(text), (a) => a.json),
]);

/**
 * Attributes in two maps, for the places where seven would cost more columns than they help: text
 * as it is, everything else as a literal that still says its type (2 and 2.0, true, [1], [1.0]).
 */
const literal: readonly Field<Attributes>[] = [
  field("strings", dictionary(text), (a) => a.strings),
  field("others", dictionary(text), othersOf),
];

/** All but the text attributes as JSON literals; NaN and infinities stand bare, as in Python's JSON. */
export function othersOf(attributes: Attributes): { [name: string]: string } {
  const others: { [name: string]: string } = {};
  const { longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  for (const [name, value] of Object.entries(longs)) others[name] = String(value);
  for (const [name, value] of Object.entries(doubles)) others[name] = doubleText(value);
  for (const [name, value] of Object.entries(booleans)) others[name] = String(value);
  for (const [name, value] of Object.entries(int_lists)) {
    others[name] = `[${unpackInt32(value).join(",")}]`;
  }
  for (const [name, value] of Object.entries(double_lists)) {
    others[name] = `[${Array.from(unpackFloat64(value), doubleText).join(",")}]`;
  }
  return Object.assign(others, json);
}

/** A floating point number that does not read as an integer. */
function doubleText(value: number): string {
  const plain = Object.is(value, -0) ? "-0" : String(value);
  return /^-?\d+$/.test(plain) ? `${plain}.0` : plain;
}

const event: Kind<SpanEvent> = tuple<SpanEvent>([
  field("name", text, (e) => e.name),
  field("time", nanos, (e) => ({ micros: e.time, nanos: e.nanos })),
  ...literal.map((part) => of(part, (e: SpanEvent) => e.attributes)),
  field("dropped_attributes", int64, (e) => e.dropped_attributes),
]);

const link: Kind<SpanLink> = tuple<SpanLink>([
  field("trace_id", text, (l) => l.trace_id),
  field("span_id", text, (l) => l.span_id),
  field("trace_state", text, (l) => l.trace_state),
  ...literal.map((part) => of(part, (l: SpanLink) => l.attributes)),
  field("dropped_attributes", int64, (l) => l.dropped_attributes),
]);

function of<S, T>(part: Field<T>, get: (source: S) => T): Field<S> {
  return { ...part, write: (out, source) => part.write(out, get(source)) };
}

export const spans: Table<SpanRecorded> = {
  name: "spans",
  key: ["project", "rollout_id", "attempt_id", "span_id"],
  repeats: {
    columns: ["project", "rollout_id"],
    scope: ({ value }) => value.project,
    id: ({ value }) => value.rollout_id,
    identity: ({ value }) => [value.project, value.rollout_id, value.attempt_id, value.span_id],
  },
  columns: [
    same("project", word),
    same("rollout_id", text),
    same("attempt_id", text),
    same("sequence_id", optional(int64)),
    same("trace_id", text),
    same("span_id", text),
    same("parent_id", optional(text)),
    same("name", word),
    same("kind", word),
    field("start_time", nanos, ({ value: v }) => ({ micros: v.start_time, nanos: v.start_nanos })),
    field("end_time", nanos, ({ value: v }) => ({ micros: v.end_time, nanos: v.end_nanos })),
    same("status_code", word),
    same("status_message", optional(text)),
    field("service_name", word, ({ value: v }) => v.resource.strings["service.name"] ?? ""),
    same("attributes", typed),
    field("resource", tuple<Attributes>(literal), ({ value: v }) => v.resource),
    same("resource_schema_url", word),
    same("scope_name", word),
    same("scope_version", word),
    same("trace_state", text),
    same("flags", int64),
    field("events", list(event), ({ value: v }) => v.events),
    field("links", list(link), ({ value: v }) => v.links),
    same("dropped_attributes", int64),
    same("dropped_events", int64),
    same("dropped_links", int64),
    same("extra", optional(text)),
    ...kafkaColumns,
  ],
};

export const attemptEnds: Table<AttemptEnded> = {
  name: "attempt_ends",
  key: ["project", "rollout_id", "attempt_id"],
  repeats: null,
  columns: [
    same("project", word),
    same("rollout_id", text),
    same("attempt_id", text),
    same("attempt_sequence_id", int32),
    same("attempt_status", word),
    same("final", bool),
    same("rollout_status", word),
    same("mode", optionalWord),
    same("resources_id", optional(text)),
    same("resources_version", optional(int64)),
    same("group_id", text),
    same("group_size", int32),
    same("group_deadline_seconds", float64),
    ...creditColumns,
    same("selection", word),
    same("grace_seconds", float64),
    same("metadata", text),
    same("enqueued_at", micros),
    same("started_at", micros),
    same("ended_at", micros),
    same("request_offset", int64),
    ...kafkaColumns,
  ],
};
