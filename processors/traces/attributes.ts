import { packInt32, unpackFloat64, unpackInt32 } from "../../schemas/bytes.ts";
import type { Attributes } from "../../schemas/types.ts";
import { pythonLiteral } from "./python-literal.ts";

/** What carries attributes: a span, or an event of one. */
export type Attributed = { readonly attributes: Attributes };

/** The first of these attributes that is text. */
export function textOf({ attributes }: Attributed, names: readonly string[]): string | null {
  for (const name of names) {
    const value = attributes.strings[name];
    if (typeof value === "string") return value;
  }
  return null;
}

/** The first of these attributes that is a number, be it a long or a double. */
export function numberOf({ attributes }: Attributed, names: readonly string[]): number | null {
  for (const name of names) {
    const value = attributes.longs[name] ?? attributes.doubles[name];
    if (typeof value === "number") return value;
  }
  return null;
}

/** The first of these attributes that is an integer ≥ 0, also when written as decimal text. */
export function countOf(of: Attributed, names: readonly string[]): number | null {
  for (const name of names) {
    const value = numberOf(of, [name]) ?? Number(textOf(of, [name])?.trim() || Number.NaN);
    if (isCount(value)) return value;
  }
  return null;
}

/** The first of these attributes that holds JSON, parsed: a nested value, or text that reads as one. */
export function jsonOf(of: Attributed, names: readonly string[]): unknown {
  for (const name of names) {
    const value = jsonAt(of, name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The same of one attribute. */
export function jsonAt({ attributes }: Attributed, name: string): unknown {
  const text = attributes.json[name] ?? attributes.strings[name];
  return text === undefined ? undefined : parsed(text);
}

/** Token ids, int32 little endian, from the first of these attributes that is a list of integers. */
export function idsOf(of: Attributed, names: readonly string[]): Uint8Array | null {
  for (const name of names) {
    const ids = idsAt(of, name);
    if (ids !== null) return ids;
  }
  return null;
}

/** The same of one attribute. */
export function idsAt({ attributes }: Attributed, name: string): Uint8Array | null {
  const packed = attributes.int_lists[name];
  if (packed !== undefined && packed.length > 0 && packed.length % 4 === 0) return packed;
  return idsIn(attributes.json[name] ?? attributes.strings[name]);
}

/** Token ids of a value that is a list of integers, or the text of one. */
export function idsIn(value: unknown): Uint8Array | null {
  const list = structured(value);
  return Array.isArray(list) && list.length > 0 && list.every(isInt32) ? packInt32(list) : null;
}

/** A packed list as numbers; undefined when there is none of that name. */
export function unpackedList(attributes: Attributes, name: string): number[] | undefined {
  const ints = attributes.int_lists[name];
  if (ints !== undefined && ints.length % 4 === 0) return Array.from(unpackInt32(ints));
  const doubles = attributes.double_lists[name];
  if (doubles !== undefined && doubles.length % 8 === 0) return Array.from(unpackFloat64(doubles));
  return undefined;
}

/** The value of a JSON text, or undefined when it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The value itself, or what its text stands for: JSON, or a Python literal as LiteLLM writes them. */
export function structured(value: unknown): unknown {
  return typeof value === "string" ? (parsed(value) ?? pythonLiteral(value)) : value;
}

/** The value when it is an object with string keys. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return value as Readonly<Record<string, unknown>>;
}

/** The value when it is a list; an empty one otherwise. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value when it is text. */
export function stringOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** True for an integer from 0 to 2^53. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isInt32(value: unknown): value is number {
  return typeof value === "number" && (value | 0) === value;
}
