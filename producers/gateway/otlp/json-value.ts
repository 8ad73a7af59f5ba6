import type { Attributes } from "../../../schemas/types.ts";
import { jsonText, putInteger, putKind } from "../../attributes.ts";
import { type List, maxDepth, putList, type Trouble } from "./any-value.ts";
import { array, type Json, object, read, text, wrong } from "./json-fields.ts";

/** The `attributes` of a JSON message into an attribute map. */
export function putJsonAttributes(
  json: Json,
  path: string,
  into: Attributes,
  trouble: Trouble,
): void {
  const items = array(json, "attributes", path);
  for (let i = 0; i < items.length; i++) {
    const at = `${path}.attributes[${i}]`;
    const item = object(items[i], at);
    const value = object(item.value ?? {}, `${at}.value`);
    putJsonValue(value, `${at}.value`, into, text(item, "key", at), trouble);
  }
}

function putJsonValue(
  json: Json,
  path: string,
  into: Attributes,
  name: string,
  trouble: Trouble,
): void {
  const array = read(json, "arrayValue");
  if (array !== undefined) {
    putList(into, name, readList(object(array, path), path, 1, trouble));
    return;
  }
  const double = read(json, "doubleValue");
  const value = readValue(json, path, 0, trouble);
  if (typeof value === "string") putKind(into, "strings", name, value);
  else if (typeof value === "boolean") putKind(into, "booleans", name, value);
  else if (typeof value === "bigint") putInteger(into, name, value);
  else if (typeof value === "number") {
    putKind(into, double === undefined ? "longs" : "doubles", name, value);
  } else putKind(into, "json", name, jsonText(value));
}

/** An `AnyValue`; null when it has none. */
function readValue(json: Json, path: string, depth: number, trouble: Trouble): unknown {
  const plain = read(json, "stringValue") ?? read(json, "boolValue");
  if (typeof plain === "string" || typeof plain === "boolean") return plain;
  if (plain !== undefined) throw wrong(path, plain, "text or a truth value");
  const integer = read(json, "intValue");
  if (integer !== undefined) return readInteger(integer, `${path}.intValue`);
  const double = read(json, "doubleValue");
  if (double !== undefined) return readDouble(double, `${path}.doubleValue`);
  const bytes = read(json, "bytesValue");
  if (bytes !== undefined) return readBytes(bytes, `${path}.bytesValue`);
  return readNested(json, path, depth, trouble);
}

function readNested(json: Json, path: string, depth: number, trouble: Trouble): unknown {
  const list = read(json, "arrayValue");
  const map = read(json, "kvlistValue");
  if (list === undefined && map === undefined) return null;
  if (depth >= maxDepth) {
    trouble.problem = `attributes are nested deeper than ${maxDepth}`;
    return null;
  }
  if (list !== undefined) return readList(object(list, path), path, depth + 1, trouble).items;
  const entries = array(object(map, path), "values", path).map((item): [string, unknown] => {
    const entry = object(item, path);
    const value = readValue(object(entry.value ?? {}, path), path, depth + 1, trouble);
    return [text(entry, "key", path), value];
  });
  return Object.fromEntries(entries);
}

function readList(json: Json, path: string, depth: number, trouble: Trouble): List {
  const list: List = { items: [], doubles: 0, integers: 0 };
  for (const item of array(json, "values", path)) {
    const one = object(item, path);
    const value = readValue(one, path, depth, trouble);
    if (typeof value === "number") {
      if (read(one, "doubleValue") !== undefined) list.doubles++;
      else list.integers++;
    }
    list.items.push(value);
  }
  return list;
}

function readInteger(value: unknown, path: string): number | bigint {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  if (typeof value !== "string" || !/^-?\d{1,19}$/.test(value)) {
    throw wrong(path, value, "a 64-bit integer or its digits");
  }
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : BigInt(value);
}

const named: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

function readDouble(value: unknown, path: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") {
    if (Object.hasOwn(named, value)) return named[value] ?? Number.NaN;
    if (value.trim() !== "" && Number.isFinite(Number(value))) return Number(value);
  }
  throw wrong(path, value, "a number, NaN, Infinity or -Infinity");
}

function readBytes(value: unknown, path: string): string {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) {
    throw wrong(path, value, "bytes in base64");
  }
  return Buffer.from(value, "base64").toString("hex");
}
