import type { Attributes } from "../../schemas/types.ts";
import { type Attributed, jsonOf, objectOf, parsed, unpackedList } from "./attributes.ts";
import { type AttributeName, built, planOf } from "./plan.ts";
import { type Below, type Shape, shapeOf } from "./shapes.ts";

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
export function nestedAt(of: Attributed, name: string): unknown {
  const { attributes } = of;
  const { leaves, plan } = below(shapeOf(attributes), name);
  if (leaves.length === 0) return jsonOf(of, [name]);
  if (plan !== null && leaves.every(isPlain)) {
    return built(plan, (leaf) => leafValue(attributes, leaf));
  }
  const values = new Map(leaves.map((leaf) => [leaf, leafValue(attributes, leaf)]));
  // What cannot be read is as if it were not there.
  const read = leaves.filter((leaf) => values.get(leaf) !== undefined);
  const made = read.length === leaves.length ? plan : planOf(name, read);
  return made === null ? jsonOf(of, [name]) : built(made, (leaf) => values.get(leaf));
}

/** Whether its value can be read whatever it is. */
function isPlain({ kind }: AttributeName): boolean {
  return kind !== "json" && kind !== "int_lists" && kind !== "double_lists";
}

function below({ names, below: known }: Shape, prefix: string): Below {
  const before = known.get(prefix);
  if (before !== undefined) return before;
  const leaves = names.filter(({ name }) => isBelow(name, prefix));
  const found = { leaves, plan: planOf(prefix, leaves) };
  known.set(prefix, found);
  return found;
}

function leafValue(attributes: Attributes, { kind, name }: AttributeName): unknown {
  switch (kind) {
    case "json":
      return parsed(attributes.json[name] ?? "");
    case "int_lists":
    case "double_lists":
      return unpackedList(attributes, name);
    default:
      return attributes[kind][name];
  }
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
