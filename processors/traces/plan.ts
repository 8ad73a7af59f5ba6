import type { AttributeName } from "./shapes.ts";

/** How values that were taken apart into dotted names are put together again. */
export type Plan = {
  /** What to read, in this order. */
  readonly leaves: readonly AttributeName[];
  readonly whole: Part;
};

/** A value by its index among the leaves, or what parts make. */
export type Part =
  | { readonly of: "value"; readonly at: number }
  | { readonly of: "list"; readonly items: readonly Part[] }
  | { readonly of: "object"; readonly names: readonly string[]; readonly items: readonly Part[] };

/** What stands below one segment of dotted names: a value, or branches, which win over it. */
type Branch = { at: number; readonly below: Map<string, Branch> };

/** Segments of a name that are told apart; what is behind stays one name. */
const maxDepth = 32;

/**
 * The plan of names that begin with a prefix and a dot: indexes 0 to n−1 make a list, other names an
 * object in the order of names. Linear in the names, in whatever order they come.
 */
export function planOf(prefix: string, leaves: readonly AttributeName[]): Plan {
  const root = branchOf();
  for (const [at, { name }] of leaves.entries()) {
    let branch = root;
    for (const segment of segmentsOf(name.slice(prefix.length + 1)))
      branch = below(branch, segment);
    branch.at = at;
  }
  return { leaves, whole: partOf(root) };
}

/** What a plan makes of the values of its leaves. */
export function built(part: Part, values: readonly unknown[]): unknown {
  switch (part.of) {
    case "value":
      return values[part.at];
    case "list":
      return part.items.map((item) => built(item, values));
    case "object":
      return objectOf(part, values);
  }
}

function objectOf(
  { names, items }: Extract<Part, { of: "object" }>,
  values: readonly unknown[],
): unknown {
  const fields: Record<string, unknown> = {};
  for (let i = 0; i < names.length; i++) {
    const [name, item] = [names[i], items[i]];
    if (name === undefined || item === undefined) continue;
    if (name === "__proto__") define(fields, built(item, values));
    else fields[name] = built(item, values);
  }
  return fields;
}

/** Set as any other, this one would become the prototype. */
function define(fields: Record<string, unknown>, value: unknown): void {
  const plain = { value, enumerable: true, configurable: true, writable: true };
  Object.defineProperty(fields, "__proto__", plain);
}

function partOf({ at, below }: Branch): Part {
  if (below.size === 0) return { of: "value", at };
  const list = Array.from({ length: below.size }, (_, i) => below.get(String(i)));
  const isList = list.every((branch) => branch !== undefined);
  if (isList) return { of: "list", items: list.map(partOf) };
  const names = [...below.keys()].sort();
  return { of: "object", names, items: names.map((name) => partOf(below.get(name) ?? branchOf())) };
}

function segmentsOf(rest: string): readonly string[] {
  const segments = rest.split(".");
  if (segments.length <= maxDepth) return segments;
  return [...segments.slice(0, maxDepth - 1), segments.slice(maxDepth - 1).join(".")];
}

function branchOf(): Branch {
  return { at: -1, below: new Map() };
}

function below(parent: Branch, name: string): Branch {
  const known = parent.below.get(name);
  if (known !== undefined) return known;
  const branch = branchOf();
  parent.below.set(name, branch);
  return branch;
}
