import { unpackFloat64, unpackInt32 } from "../../schemas/bytes.ts";
import type { Attributes } from "../../schemas/types.ts";
import { parsed } from "../traces/attributes.ts";

/** The attribute of this name as a plain value, lists as arrays; undefined when there is none. */
export function plainAttribute(attributes: Attributes, name: string): unknown {
  const { strings, longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  const plain = strings[name] ?? longs[name] ?? doubles[name] ?? booleans[name];
  if (plain !== undefined) return plain;
  const ints = int_lists[name];
  if (ints !== undefined) return Array.from(unpackInt32(ints));
  const numbers = double_lists[name];
  if (numbers !== undefined) return Array.from(unpackFloat64(numbers));
  const text = json[name];
  return text === undefined ? undefined : parsed(text);
}
