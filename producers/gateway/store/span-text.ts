import { unpackFloat64, unpackInt32 } from "../../../schemas/bytes.ts";
import type { Attributes, SpanEvent, SpanLink, SpanRecorded } from "../../../schemas/types.ts";
import { rawMembers } from "./raw.ts";
import { floatText, quoted, quotedOrNull, verbatim } from "./text.ts";

/** The reference's `Span` as JSON text, keys in its order, the client's own fields last. */
export function spanText(span: SpanRecorded): string {
  const extra = span.extra === null ? null : rawMembers(verbatimObject(span.extra));
  const own = extra?.get("fields");
  const more = own === undefined ? "" : ownFields(own);
  const context = extra?.get("context") ?? contextText(span.trace_id, span.span_id);
  return `{"rollout_id":${quoted(span.rollout_id)},"attempt_id":${quoted(span.attempt_id)},"sequence_id":${span.sequence_id ?? 0},"trace_id":${quoted(span.trace_id)},"span_id":${quoted(span.span_id)},"parent_id":${quotedOrNull(span.parent_id)},"name":${quoted(span.name)},"status":${extra?.get("status") ?? statusText(span)},"attributes":${attributesText(span.attributes)},"events":${extra?.get("events") ?? listText(span.events, eventText)},"links":${extra?.get("links") ?? listText(span.links, linkText)},"start_time":${extra?.get("start_time") ?? timeText(span.start_time, span.start_nanos)},"end_time":${extra?.get("end_time") ?? timeText(span.end_time, span.end_nanos)},"context":${context},"parent":${extra?.get("parent") ?? "null"},"resource":{"attributes":${attributesText(span.resource)},"schema_url":${quoted(span.resource_schema_url)}}${more}}`;
}

/** A producer beside the gateway may have written anything. */
function verbatimObject(text: string): string {
  return text.startsWith("{") && verbatim(text) === text ? text : "{}";
}

/** The members of an object behind those that stand before. */
function ownFields(text: string): string {
  const inner = text.trim().slice(1, -1).trim();
  return inner === "" ? "" : `,${inner}`;
}

function statusText(span: SpanRecorded): string {
  return `{"status_code":${quoted(span.status_code)},"description":${quotedOrNull(span.status_message)}}`;
}

function contextText(traceId: string, spanId: string): string {
  return `{"trace_id":${quoted(traceId)},"span_id":${quoted(spanId)},"is_remote":false,"trace_state":{}}`;
}

function listText<T>(items: readonly T[], text: (item: T) => string): string {
  return items.length === 0 ? "[]" : `[${items.map(text).join(",")}]`;
}

function eventText(event: SpanEvent): string {
  return `{"name":${quoted(event.name)},"attributes":${attributesText(event.attributes)},"timestamp":${timeText(event.time, event.nanos)}}`;
}

function linkText(link: SpanLink): string {
  const attributes = attributesText(link.attributes);
  return `{"context":${contextText(link.trace_id, link.span_id)},"attributes":${attributes === "{}" ? "null" : attributes}}`;
}

/** Seconds since 1970 as a float; null for the 0 that stands for none. */
function timeText(micros: number, nanos: number): string {
  const seconds = secondsOf(micros, nanos);
  return seconds === null ? "null" : floatText(seconds);
}

/** Seconds of a record's time; null when it has none. */
export function secondsOf(micros: number, nanos: number): number | null {
  if (micros === 0 && nanos === 0) return null;
  const whole = Math.floor(micros / 1e6);
  return whole + ((micros - whole * 1e6) * 1000 + nanos) / 1e9;
}

/** Attributes as JSON text, each of its own kind. */
function attributesText(attributes: Attributes): string {
  const members: string[] = [];
  const { strings, longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  for (const name in strings) members.push(`${nameText(name)}${quoted(strings[name] ?? "")}`);
  for (const name in longs) members.push(`${nameText(name)}${longs[name]}`);
  for (const name in doubles) members.push(`${nameText(name)}${floatText(doubles[name] ?? 0)}`);
  for (const name in booleans) members.push(`${nameText(name)}${booleans[name]}`);
  for (const name in int_lists) {
    members.push(`${nameText(name)}[${numbers(int_lists[name], unpackInt32).join(",")}]`);
  }
  for (const name in double_lists) {
    const list = numbers(double_lists[name], unpackFloat64).map(floatText);
    members.push(`${nameText(name)}[${list.join(",")}]`);
  }
  for (const name in json) {
    const value = readable(json[name] ?? "null");
    if (value !== null) members.push(`${nameText(name)}${value}`);
  }
  return `{${members.join(",")}}`;
}

/**
 * What the reference's client takes for an attribute: a list of texts or of truth values, an integer.
 * Objects and mixed lists, which OTLP may bring, are shown as text, and null not at all: a client
 * that cannot read one attribute cannot read the rollout.
 */
function readable(text: string): string | null {
  if (text === "null") return null;
  if (/^-?\d+$/.test(text)) return text;
  if (!text.startsWith("[") || verbatim(text) !== text) return quoted(text);
  const items = JSON.parse(text) as unknown[];
  const type = typeof items[0];
  const plain = type === "string" || type === "boolean" || type === "number";
  const same = items.every((item) => typeof item === type);
  return items.length === 0 || (plain && same) ? text : quoted(text);
}

const mostNames = 4096;
const longestName = 64;
const names = new Map<string, string>([["__proto__.", '"__proto__":']]);

/**
 * The name and its colon; records keep `__proto__` under another name. Names of attributes come again
 * with every span.
 */
function nameText(name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  const text = `${quoted(name)}:`;
  if (names.size < mostNames && name.length <= longestName) names.set(name, text);
  return text;
}

/** A packed list; empty when a producer beside the gateway wrote bytes that are none. */
function numbers(
  bytes: Uint8Array | undefined,
  unpack: (bytes: Uint8Array) => Iterable<number>,
): number[] {
  try {
    return bytes === undefined ? [] : [...unpack(bytes)];
  } catch {
    return [];
  }
}
