import { packFloat64, packInt32 } from "../../../schemas/bytes.ts";
import { textOf } from "../../../schemas/raw-json.ts";
import type { Attributes } from "../../../schemas/types.ts";
import { noAttributes, putKind } from "../../attributes.ts";
import { rawMembers } from "./raw.ts";
import type { Issue, Loc } from "./validation.ts";

/**
 * The attributes of a JSON object, by the kind their text says: 1 stays an integer, 1.0 a float. A
 * list has one kind, as in the reference: [1, 2.5] are floats, [true, 1] truth values.
 *
 * @param bare whether nulls may stand for NaN and infinities, see {@link Body}.
 */
export function attributesOf(text: string, loc: Loc, issues: Issue[], bare: boolean): Attributes {
  const attributes = noAttributes();
  for (const [name, raw] of rawMembers(text)) {
    if (put(attributes, name, raw, bare)) continue;
    const msg = "Input should be a string, a boolean, a number or a list of one of them";
    issues.push({ type: "attribute_type", loc: [...loc, name], msg, input: raw.slice(0, 200) });
  }
  return attributes;
}

function put(into: Attributes, name: string, raw: string, bare: boolean): boolean {
  const first = raw[0];
  if (first === '"') putKind(into, "strings", name, textOf(raw));
  else if (first === "t" || first === "f") putKind(into, "booleans", name, first === "t");
  else if (first === "[") return putList(into, name, raw, bare);
  else if (first === "n") {
    if (bare) putKind(into, "doubles", name, Number.NaN);
    return bare;
  } else if (first === "{") return false;
  else putNumber(into, name, raw);
  return true;
}

function putNumber(into: Attributes, name: string, raw: string): void {
  const value = Number(raw);
  if (/[.eE]/.test(raw)) putKind(into, "doubles", name, value);
  else if (Number.isSafeInteger(value)) putKind(into, "longs", name, value === 0 ? 0 : value);
  else putKind(into, "json", name, raw);
}

function putList(into: Attributes, name: string, raw: string, bare: boolean): boolean {
  const items = JSON.parse(raw) as unknown[];
  const has = (type: string): boolean => items.some((item) => typeof item === type);
  if (items.some((item) => (item === null ? !bare : typeof item === "object"))) return false;
  if (has("string")) {
    if (items.some((item) => typeof item !== "string")) return false;
    putKind(into, "json", name, raw);
    return true;
  }
  if (has("boolean") && items.every((item) => Number(item) === 0 || Number(item) === 1)) {
    putKind(into, "json", name, JSON.stringify(items.map(Boolean)));
    return true;
  }
  putNumbers(into, name, raw, items);
  return true;
}

function putNumbers(into: Attributes, name: string, raw: string, items: readonly unknown[]): void {
  const numbers = items.map((item) => (item === null ? Number.NaN : Number(item)));
  if (items.length === 0) putKind(into, "json", name, "[]");
  else if (/[.eE]/.test(raw.replace(/true|false/g, "")) || items.includes(null)) {
    putKind(into, "double_lists", name, packFloat64(numbers));
  } else if (numbers.every((item) => (item | 0) === item)) {
    putKind(into, "int_lists", name, packInt32(numbers));
  } else putKind(into, "json", name, items.includes(true) ? JSON.stringify(numbers) : raw);
}
