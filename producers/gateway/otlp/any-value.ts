import { packFloat64, packInt32 } from "../../../schemas/bytes.ts";
import type { Attributes } from "../../../schemas/types.ts";
import { hexOf, jsonText, putInteger, putKind } from "../../attributes.ts";
import { type Cursor, int64, more, sameText, skip, stop, tag, text, uint32 } from "./wire.ts";

/** Deepest nesting of lists and maps in an attribute; a span with more is rejected. */
export const maxDepth = 64;

/** What the attributes of one span made impossible; null when nothing. */
export type Trouble = { problem: string | null };

/** Protobuf `KeyValue` fields into an attribute map. */
export function readAttribute(c: Cursor, end: number, into: Attributes, trouble: Trouble): void {
  const stopAt = stop(c, end);
  let name = "";
  let from = -1;
  let until = -1;
  while (more(c, stopAt)) {
    const key = tag(c);
    if (key === 10) name = sameText(c, stopAt);
    else if (key === 18) {
      until = stop(c, stopAt);
      from = c.at;
      c.at = until;
    } else skip(c, key, stopAt);
  }
  if (from < 0) {
    putKind(into, "json", name, "null");
    return;
  }
  c.at = from;
  readInto(c, until, into, name, trouble);
  c.at = stopAt;
}

/** An `AnyValue` by its kind; scalars never become objects on the way. */
function readInto(c: Cursor, end: number, into: Attributes, name: string, trouble: Trouble): void {
  let seen = false;
  while (more(c, end)) {
    const key = tag(c);
    seen = true;
    if (key === 10) putKind(into, "strings", name, sameText(c, end));
    else if (key === 16) putKind(into, "booleans", name, uint32(c) !== 0);
    else if (key === 24) {
      const value = int64(c);
      if (typeof value === "number") putKind(into, "longs", name, value);
      else putInteger(into, name, value);
    } else if (key === 33) putKind(into, "doubles", name, double(c));
    else if (key === 42) putList(into, name, readList(c, stop(c, end), 1, trouble));
    else if (key === 50) {
      putKind(into, "json", name, jsonText(readMap(c, stop(c, end), 1, trouble)));
    } else if (key === 58) putKind(into, "strings", name, hex(c, end));
    else {
      skip(c, key, end);
      seen = false;
    }
  }
  if (!seen) putKind(into, "json", name, "null");
}

/** A list with what its items are, so that [1.0, 2.0] stays a list of doubles. */
export type List = { readonly items: unknown[]; doubles: number; integers: number };

function readList(c: Cursor, end: number, depth: number, trouble: Trouble): List {
  const list: List = { items: [], doubles: 0, integers: 0 };
  while (more(c, end)) {
    const key = tag(c);
    if (key !== 10) {
      skip(c, key, end);
      continue;
    }
    const stopAt = stop(c, end);
    const kind = c.bytes[c.at] ?? 0;
    const value = readValue(c, stopAt, depth, trouble);
    if (typeof value === "number") {
      if (kind === 33) list.doubles++;
      else list.integers++;
    }
    list.items.push(value);
  }
  return list;
}

function readValue(c: Cursor, end: number, depth: number, trouble: Trouble): unknown {
  let value: unknown = null;
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) value = text(c, end);
    else if (key === 16) value = uint32(c) !== 0;
    else if (key === 24) value = int64(c);
    else if (key === 33) value = double(c);
    else if (key === 42 || key === 50) value = readNested(c, key, end, depth, trouble);
    else if (key === 58) value = hex(c, end);
    else skip(c, key, end);
  }
  return value;
}

function readNested(c: Cursor, key: number, end: number, depth: number, trouble: Trouble): unknown {
  const stopAt = stop(c, end);
  if (depth >= maxDepth) {
    trouble.problem = `attributes are nested deeper than ${maxDepth}`;
    c.at = stopAt;
    return null;
  }
  if (key === 42) return readList(c, stopAt, depth + 1, trouble).items;
  return readMap(c, stopAt, depth + 1, trouble);
}

function readMap(c: Cursor, end: number, depth: number, trouble: Trouble): Record<string, unknown> {
  const entries: [string, unknown][] = [];
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) entries.push(readEntry(c, stop(c, end), depth, trouble));
    else skip(c, key, end);
  }
  return Object.fromEntries(entries);
}

function readEntry(c: Cursor, end: number, depth: number, trouble: Trouble): [string, unknown] {
  let name = "";
  let value: unknown = null;
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) name = text(c, end);
    else if (key === 18) value = readValue(c, stop(c, end), depth, trouble);
    else skip(c, key, end);
  }
  return [name, value];
}

/** Stores a list under the narrowest kind that keeps every item as it was. */
export function putList(into: Attributes, name: string, list: List): void {
  const { items, doubles, integers } = list;
  const numbers = items as number[];
  if (items.length === 0 || doubles + integers !== items.length) {
    putKind(into, "json", name, jsonText(items));
  } else if (doubles > 0) putKind(into, "double_lists", name, packFloat64(numbers));
  else if (numbers.every((item) => (item | 0) === item)) {
    putKind(into, "int_lists", name, packInt32(numbers));
  } else putKind(into, "json", name, jsonText(items));
}

function double(c: Cursor): number {
  if (c.at + 8 > c.bytes.length) {
    c.at += 8;
    return 0;
  }
  const value = c.bytes.readDoubleLE(c.at);
  c.at += 8;
  return value;
}

function hex(c: Cursor, end: number): string {
  const stopAt = stop(c, end);
  const value = hexOf(c.bytes.subarray(c.at, stopAt));
  c.at = stopAt;
  return value;
}
