import { keyOf, maxSpanBytes } from "../../../schemas/topics.ts";
import type { SpanEvent, SpanLink, SpanRecorded } from "../../../schemas/types.ts";
import { noAttributes } from "../../attributes.ts";
import type { Produced } from "../../producer.ts";
import { avroBytes } from "../otlp/collect.ts";
import { attributesOf } from "./attribute-values.ts";
import { objectFields } from "./body.ts";
import type { Body } from "./json.ts";
import { rawItems } from "./raw.ts";
import { secondsOf } from "./span-text.ts";
import { quoted } from "./text.ts";
import {
  asAny,
  asBoolean,
  asId,
  asInteger,
  asList,
  asObject,
  asSeconds,
  asText,
  type Fields,
  has,
  note,
  oneOf,
  optional,
  required,
} from "./validation.ts";

/**
 * What a client sent that a span's record has no field for, as JSON text by name: fields of its own
 * under `fields`; `context`, `parent`, `status`, `events`, `links` and times whole, where the record
 * alone would give something else back.
 */
type Extra = Map<string, string>;

const statusCode = oneOf(["UNSET", "OK", "ERROR"] as const);

const declared = new Set([
  "rollout_id",
  "attempt_id",
  "sequence_id",
  "trace_id",
  "span_id",
  "parent_id",
  "name",
  "status",
  "attributes",
  "events",
  "links",
  "start_time",
  "end_time",
  "context",
  "parent",
  "resource",
]);

/** The reference's `Span` as a record; mistakes are noted in `fields`. */
export function spanOf(fields: Fields, body: Body, project: string): Produced<"SpanRecorded"> {
  const extra: Extra = new Map();
  const rollout_id = required(fields, "rollout_id", asId) ?? "";
  const start = timeOf(fields, "start_time", extra, true);
  const end = timeOf(fields, "end_time", extra, true);
  const value: SpanRecorded = {
    project,
    rollout_id,
    attempt_id: required(fields, "attempt_id", asId) ?? "",
    sequence_id: required(fields, "sequence_id", asInteger) ?? 0,
    trace_id: required(fields, "trace_id", asText) ?? "",
    span_id: required(fields, "span_id", asText) ?? "",
    parent_id: nullable(fields, "parent_id"),
    name: required(fields, "name", asText) ?? "",
    kind: "UNSPECIFIED",
    start_time: start.micros,
    start_nanos: start.nanos,
    end_time: end.micros,
    end_nanos: end.nanos,
    ...statusOf(fields, extra),
    attributes: attributesIn(fields, body.bare),
    ...resourceOf(fields, body.bare),
    scope_name: "",
    scope_version: "",
    trace_state: "",
    flags: 0,
    events: eventsOf(fields, extra, body.bare),
    links: linksOf(fields, extra, body.bare),
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: null,
  };
  contextsOf(fields, extra, value);
  const own = Object.keys(fields.value).filter((name) => !declared.has(name));
  if (own.length > 0) extra.set("fields", objectText(own.map((name) => [name, fields.raw(name)])));
  if (extra.size > 0) value.extra = objectText([...extra]);
  if (fields.issues.length === 0 && tooLarge(body, value)) {
    const msg = `Span should have at most ${maxSpanBytes} bytes`;
    fields.issues.push({ type: "too_long", loc: ["body"], msg, input: null });
  }
  return { topic: "spans", key: keyOf(project, rollout_id), type: "SpanRecorded", value };
}

/** A record is at most a few times as long as the text it was read from. */
function tooLarge(body: Body, value: SpanRecorded): boolean {
  return body.text.length > maxSpanBytes / 8 && avroBytes(value) > maxSpanBytes;
}

function objectText(members: readonly (readonly [string, string])[]): string {
  return `{${members.map(([name, raw]) => `${quoted(name)}:${raw}`).join(",")}}`;
}

/** A text that must be said but may be null. */
function nullable(fields: Fields, name: string): string | null {
  if (!has(fields, name)) required(fields, name, asAny);
  return optional(fields, name, asText) ?? null;
}

type Time = { readonly micros: number; readonly nanos: number };

const noTime: Time = { micros: 0, nanos: 0 };

function timeOf(fields: Fields, name: string, extra: Extra, must: boolean): Time {
  if (must && !has(fields, name)) required(fields, name, asAny);
  const value = optional(fields, name, asSeconds);
  if (value === undefined || value === null) return noTime;
  const time = timeFrom(value);
  if (secondsOf(time.micros, time.nanos) !== value) extra.set(name, numberText(value));
  return time;
}

/** Splits before it multiplies: seconds since 1970 in nanoseconds are beyond what a number holds. */
function timeFrom(seconds: number): Time {
  const whole = Math.floor(seconds);
  const nanos = Math.round((seconds - whole) * 1e9);
  return { micros: whole * 1e6 + Math.floor(nanos / 1000), nanos: nanos % 1000 };
}

function numberText(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function statusOf(
  fields: Fields,
  extra: Extra,
): Pick<SpanRecorded, "status_code" | "status_message"> {
  const status = nested(fields, "status");
  if (status === null) return { status_code: "UNSET", status_message: null };
  if (hasMore(status, ["status_code", "description"])) extra.set("status", fields.raw("status"));
  return {
    status_code: required(status, "status_code", statusCode) ?? "UNSET",
    status_message: optional(status, "description", asText) ?? null,
  };
}

function resourceOf(
  fields: Fields,
  bare: boolean,
): Pick<SpanRecorded, "resource" | "resource_schema_url"> {
  const resource = nested(fields, "resource");
  if (resource === null) return { resource: noAttributes(), resource_schema_url: "" };
  return {
    resource: attributesIn(resource, bare),
    resource_schema_url: required(resource, "schema_url", asText) ?? "",
  };
}

function attributesIn(fields: Fields, bare: boolean): SpanRecorded["attributes"] {
  if (required(fields, "attributes", asObject) === undefined) return noAttributes();
  return attributesOf(fields.raw("attributes"), [...fields.loc, "attributes"], fields.issues, bare);
}

function eventsOf(fields: Fields, extra: Extra, bare: boolean): SpanEvent[] {
  return itemsOf(fields, "events", (event) => {
    const own: Extra = new Map();
    const time = timeOf(event, "timestamp", own, false);
    if (own.size > 0 || hasMore(event, ["name", "attributes", "timestamp"])) {
      extra.set("events", fields.raw("events"));
    }
    return {
      name: required(event, "name", asText) ?? "",
      time: time.micros,
      nanos: time.nanos,
      attributes: attributesIn(event, bare),
      dropped_attributes: 0,
    };
  });
}

function linksOf(fields: Fields, extra: Extra, bare: boolean): SpanLink[] {
  return itemsOf(fields, "links", (link) => {
    const context = nested(link, "context");
    const ids = context === null ? null : contextIn(context);
    const attributes = optional(link, "attributes", asObject);
    const empty = attributes !== null && Object.keys(attributes ?? {}).length === 0;
    if (ids?.plain !== true || (attributes !== undefined && empty)) {
      extra.set("links", fields.raw("links"));
    }
    if (hasMore(link, ["context", "attributes"])) extra.set("links", fields.raw("links"));
    const loc = [...link.loc, "attributes"];
    return {
      trace_id: ids?.traceId ?? "",
      span_id: ids?.spanId ?? "",
      trace_state: "",
      attributes:
        attributes === undefined || attributes === null
          ? noAttributes()
          : attributesOf(link.raw("attributes"), loc, link.issues, bare),
      dropped_attributes: 0,
    };
  });
}

/** Context and parent, kept whole unless the record's ids say all of it. */
function contextsOf(fields: Fields, extra: Extra, span: SpanRecorded): void {
  for (const name of ["context", "parent"] as const) {
    if (!has(fields, name)) {
      required(fields, name, asAny);
      continue;
    }
    const context = fields.value[name] === null ? null : nested(fields, name);
    const read = context === null ? null : contextIn(context);
    const derived =
      name === "parent"
        ? fields.value.parent === null
        : read?.plain === true && read.traceId === span.trace_id && read.spanId === span.span_id;
    if (!derived) extra.set(name, fields.raw(name));
  }
}

/** The ids of a span context; `plain` when it says nothing else. */
function contextIn(fields: Fields): { traceId: string; spanId: string; plain: boolean } {
  const traceId = required(fields, "trace_id", asText) ?? "";
  const spanId = required(fields, "span_id", asText) ?? "";
  const remote = required(fields, "is_remote", asBoolean) ?? false;
  const state = required(fields, "trace_state", asObject) ?? {};
  for (const [name, value] of Object.entries(state)) {
    if (typeof value === "string") continue;
    const msg = "Input should be a valid string";
    const loc = [...fields.loc, "trace_state", name];
    fields.issues.push({ type: "string_type", loc, msg, input: value });
  }
  const more = hasMore(fields, ["trace_id", "span_id", "is_remote", "trace_state"]);
  return { traceId, spanId, plain: !remote && Object.keys(state).length === 0 && !more };
}

function hasMore(fields: Fields, names: readonly string[]): boolean {
  return Object.keys(fields.value).some((name) => !names.includes(name));
}

/** A field that must be an object; null when it is none, which is noted. */
function nested(fields: Fields, name: string): Fields | null {
  if (required(fields, name, asAny) === undefined) return null;
  const loc = [...fields.loc, name];
  return objectFields(fields.value[name], fields.raw(name), loc, fields.issues);
}

function itemsOf<T>(fields: Fields, name: string, read: (item: Fields) => T): T[] {
  const list = required(fields, name, asList) ?? [];
  if (list.length > mostItems) {
    note(
      fields,
      name,
      { type: "too_long", msg: `List should have at most ${mostItems} items` },
      null,
    );
    return [];
  }
  const texts = list.length === 0 ? [] : rawItems(fields.raw(name));
  return list.flatMap((value, i) => {
    const loc = [...fields.loc, name, i];
    const item = objectFields(value, texts[i] ?? "{}", loc, fields.issues);
    return item === null ? [] : [read(item)];
  });
}

/** Events or links of one span. */
const mostItems = 10_000;
