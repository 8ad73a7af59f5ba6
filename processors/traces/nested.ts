import type { Attributes } from "../../schemas/types.ts";
import { type Attributed, jsonOf, objectOf, parsed, unpackedList } from "./attributes.ts";
import { branchOf, graft, grown, segmentsOf } from "./branches.ts";

/** Every attribute below a prefix (`prefix.rest`), as rest and value; JSON and packed lists come read. */
export function* attributesUnder(
  attributes: Attributes,
  prefix: string,
): Generator<[string, unknown]> {
  const start = `${prefix}.`;
  const { strings, longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  for (const values of [strings, longs, doubles, booleans]) {
    for (const name in values) {
      if (name.startsWith(start)) yield [name.slice(start.length), values[name]];
    }
  }
  for (const values of [int_lists, double_lists]) {
    for (const name in values) {
      if (!name.startsWith(start)) continue;
      yield [name.slice(start.length), unpackedList(attributes, name)];
    }
  }
  for (const name in json) {
    if (name.startsWith(start)) yield [name.slice(start.length), parsed(json[name] ?? "")];
  }
}

/**
 * The value a writer took apart into attributes below a name (`name.a.0.b`), put together again, or
 * what stands under the name itself as JSON; undefined when there is neither. Indexes 0 to n−1 make a
 * list, with gaps or names among them they stay an object. Linear in the attributes, in any order.
 */
export function nestedAt({ attributes }: Attributed, name: string): unknown {
  const { strings, longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  const root = branchOf(name);
  const at = segmentsOf(name).length;
  for (const key in strings) if (isBelow(key, name)) graft(root, key, at, strings[key]);
  for (const key in longs) if (isBelow(key, name)) graft(root, key, at, longs[key]);
  for (const key in doubles) if (isBelow(key, name)) graft(root, key, at, doubles[key]);
  for (const key in booleans) if (isBelow(key, name)) graft(root, key, at, booleans[key]);
  for (const lists of [int_lists, double_lists]) {
    for (const key in lists) {
      if (isBelow(key, name)) graft(root, key, at, unpackedList(attributes, key));
    }
  }
  for (const key in json) if (isBelow(key, name)) graft(root, key, at, parsed(json[key] ?? ""));
  return root.size === 0 ? jsonOf({ attributes }, [name]) : grown(root);
}

const dot = 46;

/** Most keys are told from others by the one character behind the name. */
export function isBelow(key: string, name: string): boolean {
  return key.length > name.length && key.charCodeAt(name.length) === dot && key.startsWith(name);
}

/** What {@link nestedAt} found, as the items of a list: by ascending index, names beside them left out. */
export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : entriesOf(value).map(([, item]) => item);
}

/** The same with their indexes. */
export function entriesOf(value: unknown): readonly (readonly [number, unknown])[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.map((item: unknown, i) => [i, item] as const);
  return Object.entries(objectOf(value) ?? {})
    .filter(([name]) => /^\d{1,9}$/.test(name))
    .map(([name, item]) => [Number(name), item] as const)
    .sort(([a], [b]) => a - b);
}
