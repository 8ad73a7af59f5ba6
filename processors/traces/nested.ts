import type { Attributes } from "../../schemas/types.ts";
import { type Attributed, jsonOf, objectOf, parsed, unpackedList } from "./attributes.ts";

/** Segments of a name that are told apart; what is behind stays one name. */
const maxDepth = 32;

type Branch = Map<string, unknown>;

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
  // Most names are not there, and a map costs more than to find that out.
  const root = { branch: null as Branch | null };
  const { strings, longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  for (const key in strings) if (isBelow(key, name)) graft(root, key, name, strings[key]);
  for (const key in longs) if (isBelow(key, name)) graft(root, key, name, longs[key]);
  for (const key in doubles) if (isBelow(key, name)) graft(root, key, name, doubles[key]);
  for (const key in booleans) if (isBelow(key, name)) graft(root, key, name, booleans[key]);
  for (const lists of [int_lists, double_lists]) {
    for (const key in lists) {
      if (isBelow(key, name)) graft(root, key, name, unpackedList(attributes, key));
    }
  }
  for (const key in json) {
    if (isBelow(key, name)) graft(root, key, name, parsed(json[key] ?? ""));
  }
  return root.branch === null ? jsonOf({ attributes }, [name]) : grown(root.branch);
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

/** Where a leaf and a branch meet, the branch stays. */
function graft(root: { branch: Branch | null }, key: string, name: string, value: unknown): void {
  if (value === undefined) return;
  root.branch ??= new Map();
  let { branch } = root;
  let at = name.length + 1;
  for (let depth = 1; depth < maxDepth; depth++) {
    const end = key.indexOf(".", at);
    if (end < 0) break;
    const segment = key.slice(at, end);
    const next = branch.get(segment);
    if (next instanceof Map) branch = next;
    else {
      const below: Branch = new Map();
      branch.set(segment, below);
      branch = below;
    }
    at = end + 1;
  }
  const leaf = key.slice(at);
  if (!(branch.get(leaf) instanceof Map)) branch.set(leaf, value);
}

function grown(value: unknown): unknown {
  if (!(value instanceof Map)) return value;
  const branch: Branch = value;
  if (branch.has("0") && isList(branch)) {
    const list = new Array<unknown>(branch.size);
    for (let i = 0; i < list.length; i++) list[i] = grown(branch.get(String(i)));
    return list;
  }
  const fields: Record<string, unknown> = {};
  for (const name of [...branch.keys()].sort()) {
    if (name === "__proto__") return Object.fromEntries(sorted(branch));
    fields[name] = grown(branch.get(name));
  }
  return fields;
}

function sorted(branch: Branch): [string, unknown][] {
  return [...branch.keys()].sort().map((name) => [name, grown(branch.get(name))]);
}

function isList(branch: Branch): boolean {
  for (let i = 0; i < branch.size; i++) if (!branch.has(String(i))) return false;
  return true;
}
