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
  const root: Branch = new Map();
  const start = `${name}.`;
  const { strings, longs, doubles, booleans, int_lists, double_lists, json } = attributes;
  // Loops, because this is most of what reading a call costs.
  for (const values of [strings, longs, doubles, booleans]) {
    for (const key in values) if (key.startsWith(start)) graft(root, start, key, values[key]);
  }
  for (const values of [int_lists, double_lists]) {
    for (const key in values) {
      if (key.startsWith(start)) graft(root, start, key, unpackedList(attributes, key));
    }
  }
  for (const key in json) {
    if (key.startsWith(start)) graft(root, start, key, parsed(json[key] ?? ""));
  }
  return root.size > 0 ? grown(root) : jsonOf({ attributes }, [name]);
}

/** What {@link nestedAt} found, as the items of a list: by ascending index, names beside them left out. */
export function itemsOf(value: unknown): readonly unknown[] {
  return entriesOf(value).map(([, item]) => item);
}

/** The same with their indexes. */
export function entriesOf(value: unknown): readonly (readonly [number, unknown])[] {
  if (Array.isArray(value)) return value.map((item: unknown, i) => [i, item] as const);
  return Object.entries(objectOf(value) ?? {})
    .filter(([name]) => /^\d{1,9}$/.test(name))
    .map(([name, item]) => [Number(name), item] as const)
    .sort(([a], [b]) => a - b);
}

/** Where a leaf and a branch meet, the branch stays. */
function graft(root: Branch, start: string, name: string, value: unknown): void {
  if (value === undefined) return;
  let branch = root;
  let from = start.length;
  for (let depth = 1; depth < maxDepth; depth++) {
    const dot = name.indexOf(".", from);
    if (dot < 0) break;
    branch = branchAt(branch, name.slice(from, dot));
    from = dot + 1;
  }
  const leaf = name.slice(from);
  if (!(branch.get(leaf) instanceof Map)) branch.set(leaf, value);
}

function branchAt(above: Branch, segment: string): Branch {
  const known = above.get(segment);
  if (known instanceof Map) return known;
  const branch: Branch = new Map();
  above.set(segment, branch);
  return branch;
}

function grown(value: unknown): unknown {
  if (!(value instanceof Map)) return value;
  const branch: Branch = value;
  const list: unknown[] = [];
  for (let i = 0; i < branch.size && branch.has(String(i)); i++) {
    list.push(grown(branch.get(String(i))));
  }
  if (list.length === branch.size) return list;
  const object: Record<string, unknown> = {};
  for (const name of [...branch.keys()].sort()) {
    const item = grown(branch.get(name));
    // Assigning to `__proto__` would do something else.
    if (name !== "__proto__") object[name] = item;
    else Object.defineProperty(object, name, { value: item, enumerable: true });
  }
  return object;
}
