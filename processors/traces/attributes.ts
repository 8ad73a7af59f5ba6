import { packInt32 } from "../../schemas/bytes.ts";
import type { Attributes, SpanRecorded } from "../../schemas/types.ts";

/** The first of these attributes that is text. */
export function textOf(span: SpanRecorded, names: readonly string[]): string | null {
  const { strings } = span.attributes;
  for (const name of names) {
    const value = strings[name];
    if (typeof value === "string") return value;
  }
  return null;
}

/** The first of these attributes that is a number, be it a long or a double. */
export function numberOf(span: SpanRecorded, names: readonly string[]): number | null {
  const { longs, doubles } = span.attributes;
  for (const name of names) {
    const value = longs[name] ?? doubles[name];
    if (typeof value === "number") return value;
  }
  return null;
}

/** The first of these attributes that is an integer ≥ 0, also when written as decimal text. */
export function countOf(span: SpanRecorded, names: readonly string[]): number | null {
  for (const name of names) {
    const value = numberOf(span, [name]) ?? Number(textOf(span, [name])?.trim() || Number.NaN);
    if (Number.isSafeInteger(value) && value >= 0) return value;
  }
  return null;
}

/** The first of these attributes that holds JSON, parsed: a nested value, or text that reads as one. */
export function jsonOf(span: SpanRecorded, names: readonly string[]): unknown {
  const { json, strings } = span.attributes;
  for (const name of names) {
    const text = json[name] ?? strings[name];
    const value = text === undefined ? undefined : parsed(text);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Token ids, int32 little endian, from the first of these attributes that is a list of integers. */
export function idsOf(span: SpanRecorded, names: readonly string[]): Uint8Array | null {
  for (const name of names) {
    const packed = span.attributes.int_lists[name];
    if (packed !== undefined && packed.length > 0 && packed.length % 4 === 0) return packed;
    const list = jsonOf(span, [name]);
    if (Array.isArray(list) && list.length > 0 && list.every(isInt32)) return packInt32(list);
  }
  return null;
}

/** Every attribute below a prefix (`prefix.rest`), as rest and value; JSON text comes parsed. */
export function* attributesUnder(
  attributes: Attributes,
  prefix: string,
): Generator<[string, unknown]> {
  const start = `${prefix}.`;
  const { strings, longs, doubles, booleans, json } = attributes;
  for (const values of [strings, longs, doubles, booleans]) {
    for (const name in values) {
      if (name.startsWith(start)) yield [name.slice(start.length), values[name]];
    }
  }
  for (const name in json) {
    if (name.startsWith(start)) yield [name.slice(start.length), parsed(json[name] ?? "")];
  }
}

/**
 * Attributes `prefix.<i>.<field>` as one map of fields per index, by ascending index; what stands
 * beside the indexes is left out. Linear in the number of attributes.
 */
export function indexedUnder(attributes: Attributes, prefix: string): Map<string, unknown>[] {
  const items = new Map<number, Map<string, unknown>>();
  for (const [rest, value] of attributesUnder(attributes, prefix)) {
    addIndexed(items, rest, value);
  }
  return byIndex(items);
}

/** The same grouping for fields that were already taken apart, e.g. `tool_calls.<j>.<field>`. */
export function indexedIn(fields: Map<string, unknown>, prefix: string): Map<string, unknown>[] {
  const items = new Map<number, Map<string, unknown>>();
  const start = `${prefix}.`;
  for (const [name, value] of fields) {
    if (name.startsWith(start)) addIndexed(items, name.slice(start.length), value);
  }
  return byIndex(items);
}

function addIndexed(items: Map<number, Map<string, unknown>>, rest: string, value: unknown): void {
  const match = /^(\d{1,9})\.(.+)$/s.exec(rest);
  if (match === null) return;
  const index = Number(match[1]);
  const fields = items.get(index) ?? new Map<string, unknown>();
  fields.set(match[2] ?? "", value);
  items.set(index, fields);
}

function byIndex(items: Map<number, Map<string, unknown>>): Map<string, unknown>[] {
  return [...items].sort(([a], [b]) => a - b).map(([, fields]) => fields);
}

/** The value of a JSON text, or undefined when it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isInt32(value: unknown): value is number {
  return typeof value === "number" && (value | 0) === value;
}

/** The value when it is an object with string keys. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return value as Readonly<Record<string, unknown>>;
}
