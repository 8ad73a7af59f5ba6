/** A value taken apart into dotted names, put together again. */
export type Grouped = { readonly [name: string]: unknown } | readonly unknown[];

/**
 * Puts dotted names together as the reference does for messages (reference/v0.3-behaviour.md, 3.9):
 * where any first segment is a number there is a list, by ascending index without gaps, and what
 * stands beside the indexes is left out; else an object, in which what lies deeper replaces a value
 * of the same name. Linear in the total length of the names.
 */
export function grouped(flat: ReadonlyMap<string, unknown>, depth = 0): Grouped {
  if (depth > deepest) return Object.fromEntries(flat);
  const names = [...flat.keys()];
  const isList = names.some((name) => isIndex(headOf(name)));
  return isList ? listOf(flat, depth) : objectOf(flat, depth);
}

/** Segments that are taken apart; what is longer keeps its dots, so that no name exhausts the stack. */
const deepest = 100;

/** An empty object is what nothing looks like, whatever it was meant to be. */
export function isNothing(value: Grouped): boolean {
  return !Array.isArray(value) && Object.keys(value).length === 0;
}

function listOf(flat: ReadonlyMap<string, unknown>, depth: number): Grouped {
  const items = new Map<number, Map<string, unknown>>();
  for (const [name, value] of flat) {
    const head = headOf(name);
    if (isIndex(head)) put(items, Number(head), name.slice(head.length + 1), value);
  }
  return [...items].sort(([a], [b]) => a - b).map(([, fields]) => grouped(fields, depth + 1));
}

function objectOf(flat: ReadonlyMap<string, unknown>, depth: number): Grouped {
  const values: [string, unknown][] = [];
  const deeper = new Map<string, Map<string, unknown>>();
  for (const [name, value] of flat) {
    const head = headOf(name);
    if (head.length === name.length) values.push([name, value]);
    else put(deeper, head, name.slice(head.length + 1), value);
  }
  for (const [head, fields] of deeper) values.push([head, grouped(fields, depth + 1)]);
  // Unlike assignment this makes even `__proto__` a plain member.
  return Object.fromEntries(values);
}

function put<K>(into: Map<K, Map<string, unknown>>, key: K, name: string, value: unknown): void {
  const fields = into.get(key) ?? new Map<string, unknown>();
  into.set(key, fields.set(name, value));
}

function headOf(name: string): string {
  const dot = name.indexOf(".");
  return dot < 0 ? name : name.slice(0, dot);
}

function isIndex(head: string): boolean {
  return /^\d{1,15}$/.test(head);
}
