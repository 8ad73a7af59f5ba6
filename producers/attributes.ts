import { packFloat64, packInt32, unpackFloat64, unpackInt32 } from "../schemas/bytes.ts";
import type { Attributes } from "../schemas/types.ts";

type Kind = keyof Attributes;
type ValueOf<K extends Kind> = Attributes[K][string];

/** Shared by all attribute maps, so that a kind nobody uses costs no allocation. */
const none: Record<string, never> = Object.freeze({});

/** Avro maps come back as plain objects, where this key would set the prototype and be lost. */
const unsafeName = "__proto__";

/** An empty attribute map. Its inner maps are frozen: write with {@link putAttribute} and {@link putKind}. */
export function noAttributes(): Attributes {
  return {
    strings: none,
    longs: none,
    doubles: none,
    booleans: none,
    int_lists: none,
    double_lists: none,
    json: none,
  };
}

/** Sets a value whose kind is already known. The name `__proto__` is stored as `__proto__.`. */
export function putKind<K extends Kind>(
  into: Attributes,
  kind: K,
  name: string,
  value: ValueOf<K>,
): void {
  let map = into[kind] as Record<string, ValueOf<K>>;
  if (map === none) {
    map = {};
    (into as Record<Kind, unknown>)[kind] = map;
  }
  map[name === unsafeName ? `${unsafeName}.` : name] = value;
}

/**
 * Sets one value by its JavaScript type: text, integers within ±2^53, other numbers (NaN and
 * infinities included), truth values, lists of 32-bit integers, lists of numbers with at least one
 * that is no integer; bytes become hex digits; everything else JSON text. Undefined sets nothing.
 */
export function putAttribute(into: Attributes, name: string, value: unknown): void {
  if (typeof value === "string") putKind(into, "strings", name, value);
  else if (typeof value === "number") {
    putKind(into, isLong(value) ? "longs" : "doubles", name, value);
  } else if (typeof value === "boolean") putKind(into, "booleans", name, value);
  else if (typeof value === "bigint") putInteger(into, name, value);
  else if (typeof value === "object") putObject(into, name, value);
}

/** Sets an integer: a long within ±2^53, JSON text beyond. */
export function putInteger(into: Attributes, name: string, value: bigint): void {
  const number = Number(value);
  if (Number.isSafeInteger(number)) putKind(into, "longs", name, number);
  else putKind(into, "json", name, value.toString());
}

/** The attribute map of a plain record, see {@link putAttribute}. */
export function attributesFrom(record: Readonly<Record<string, unknown>>): Attributes {
  const attributes = noAttributes();
  for (const name of Object.keys(record)) putAttribute(attributes, name, record[name]);
  return attributes;
}

/**
 * The inverse of {@link attributesFrom}: lists come back as arrays of numbers, integers beyond 2^53
 * as bigint, and hex digits stay hex digits.
 */
export function attributesToObject(attributes: Attributes): Record<string, unknown> {
  const entries: [string, unknown][] = [
    ...Object.entries(attributes.strings),
    ...Object.entries(attributes.longs),
    ...Object.entries(attributes.doubles),
    ...Object.entries(attributes.booleans),
  ];
  for (const [name, bytes] of Object.entries(attributes.int_lists)) {
    entries.push([name, [...unpackInt32(bytes)]]);
  }
  for (const [name, bytes] of Object.entries(attributes.double_lists)) {
    entries.push([name, [...unpackFloat64(bytes)]]);
  }
  for (const [name, text] of Object.entries(attributes.json)) entries.push([name, parsed(text)]);
  return Object.fromEntries(entries);
}

/**
 * JSON text of anything: bytes as hex digits, and as text, the way protobuf's JSON writes them, NaN,
 * infinities and nested integers beyond 2^53. What cannot be written (a cycle) is only named,
 * `"[object Object]"`: telemetry must not throw into an agent.
 */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value, writable) ?? "null";
  } catch {
    return JSON.stringify(Object.prototype.toString.call(value));
  }
}

function isLong(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

function putObject(into: Attributes, name: string, value: object | null): void {
  const kind = Array.isArray(value) ? listKind(value) : "json";
  if (value instanceof Uint8Array) putKind(into, "strings", name, hexOf(value));
  else if (value instanceof Int32Array || kind === "int_lists") {
    putKind(into, "int_lists", name, packInt32(value as number[]));
  } else if (
    value instanceof Float64Array ||
    value instanceof Float32Array ||
    kind === "double_lists"
  ) {
    putKind(into, "double_lists", name, packFloat64(value as number[]));
  } else putKind(into, "json", name, jsonText(value));
}

/**
 * The kind a list is stored as. A list that mixes integers with other numbers is one of doubles:
 * JavaScript SDKs send the 0 in [0, -0.5] as an integer.
 */
function listKind(list: readonly unknown[]): "int_lists" | "double_lists" | "json" {
  let small = list.length > 0;
  let integers = list.length > 0;
  for (const item of list) {
    if (typeof item !== "number") return "json";
    if (!isLong(item)) integers = false;
    if ((item | 0) !== item || !integers) small = false;
  }
  if (small) return "int_lists";
  return integers || list.length === 0 ? "json" : "double_lists";
}

/** Lower-case hex digits. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Replacer of JSON.stringify: `this` holds the value before its toJSON, which bytes have. */
function writable(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === "bigint") return bigintJson(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value !== "object" || value === null) return value;
  const before = (this as Readonly<Record<string, unknown>>)[key];
  if (before instanceof Uint8Array) return hexOf(before);
  return ArrayBuffer.isView(before) ? [...(before as Float64Array)] : value;
}

/** Numbers within ±2^53; digits as text beyond, where a JSON reader would round them. */
function bigintJson(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function parsed(text: string): unknown {
  if (/^-?\d{16,}$/.test(text) && !Number.isSafeInteger(Number(text))) return BigInt(text);
  return JSON.parse(text);
}
