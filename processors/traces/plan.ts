import type { Attributes } from "../../schemas/types.ts";

export type AttributeKind = keyof Attributes;

/** An attribute without its value. */
export type AttributeName = { readonly kind: AttributeKind; readonly name: string };

/** How values that were taken apart into dotted names are put together again: one, or what parts make. */
export type Plan =
  | { readonly of: "value"; readonly leaf: AttributeName }
  | { readonly of: "list"; readonly items: readonly Plan[] }
  | { readonly of: "object"; readonly names: readonly string[]; readonly items: readonly Plan[] };

/** What stands below one segment of dotted names: a value, or branches, which win over it. */
type Branch = { leaf: AttributeName | null; readonly below: Map<string, Branch> };

/** Segments of a name that are told apart; what is behind stays one name. */
const maxDepth = 32;

/**
 * The plan of names that begin with a prefix and a dot: indexes 0 to n−1 make a list, other names an
 * object in the order of names. Linear in the names, in whatever order they come.
 */
export function planOf(prefix: string, leaves: readonly AttributeName[]): Plan | null {
  const root = branchOf();
  for (const leaf of leaves) {
    let branch = root;
    for (const segment of segmentsOf(leaf.name.slice(prefix.length + 1))) {
      branch = below(branch, segment);
    }
    branch.leaf = leaf;
  }
  return planFrom(root);
}

/** What a plan makes of the values of its leaves. */
export function built(plan: Plan, valueAt: (leaf: AttributeName) => unknown): unknown {
  switch (plan.of) {
    case "value":
      return valueAt(plan.leaf);
    case "list":
      return plan.items.map((item) => built(item, valueAt));
    case "object":
      return objectOf(plan, valueAt);
  }
}

function objectOf(
  { names, items }: Extract<Plan, { of: "object" }>,
  valueAt: (leaf: AttributeName) => unknown,
): unknown {
  const fields: Record<string, unknown> = {};
  for (let i = 0; i < names.length; i++) {
    const [name, item] = [names[i], items[i]];
    if (name === undefined || item === undefined) continue;
    if (name === "__proto__") define(fields, built(item, valueAt));
    else fields[name] = built(item, valueAt);
  }
  return fields;
}

/** Set as any other, this one would become the prototype. */
function define(fields: Record<string, unknown>, value: unknown): void {
  const plain = { value, enumerable: true, configurable: true, writable: true };
  Object.defineProperty(fields, "__proto__", plain);
}

/** Null: nothing is there. */
function planFrom({ leaf, below }: Branch): Plan | null {
  if (below.size === 0) return leaf === null ? null : { of: "value", leaf };
  const indexes = Array.from({ length: below.size }, (_, i) => String(i));
  const isList = indexes.every((i) => below.has(i));
  const names = isList ? indexes : [...below.keys()].sort();
  const items = names.flatMap((name) => planFrom(below.get(name) ?? branchOf()) ?? []);
  return isList ? { of: "list", items } : { of: "object", names, items };
}

function segmentsOf(rest: string): readonly string[] {
  const segments = rest.split(".");
  if (segments.length <= maxDepth) return segments;
  return [...segments.slice(0, maxDepth - 1), segments.slice(maxDepth - 1).join(".")];
}

function branchOf(): Branch {
  return { leaf: null, below: new Map() };
}

function below(parent: Branch, name: string): Branch {
  const known = parent.below.get(name);
  if (known !== undefined) return known;
  const branch = branchOf();
  parent.below.set(name, branch);
  return branch;
}
