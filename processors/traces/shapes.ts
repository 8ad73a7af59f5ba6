import type { Attributes } from "../../schemas/types.ts";
import type { AttributeKind, AttributeName, Plan } from "./plan.ts";

/**
 * The names of the attributes of a span or event, and what follows from them alone. Writers use the
 * same few lists of names in millions of spans, so that it is found out once.
 */
export type Shape = {
  readonly names: readonly AttributeName[];
  /** Answer of subjects.ts; null until it was asked. */
  subjects: number | null;
  /** Answers of nested.ts by prefix. */
  readonly below: Map<string, Below>;
};

/** What stands below a prefix, and how it is put together; null: nothing does. */
export type Below = { readonly leaves: readonly AttributeName[]; readonly plan: Plan | null };

/** Where a walk along the names has come to: nodes are a tree, each the list of names up to it. */
type Node = AttributeName & {
  /** The node last gone to from here, mostly the next one, too. */
  last: Node | null;
  readonly next: Map<string, Node>[];
  shape: Shape | null;
};

/** Names kept in all, nodes and shapes: some 10 MB at the very most; then it begins anew. */
const mostKept = 50_000;
/** What is longer is not kept: a list of names, and a name. */
const mostNames = 1_000;
const longestName = 200;

const kinds = [
  "strings",
  "longs",
  "doubles",
  "booleans",
  "int_lists",
  "double_lists",
  "json",
] as const satisfies readonly AttributeKind[];

let root = nodeOf("strings", "");
let kept = 0;
/** Readers ask for many things of one span, one after the other. */
let latest: { readonly attributes: Attributes; readonly shape: Shape } | null = null;

/** The shape of attributes, which do not change once they were read. Linear in the names. */
export function shapeOf(attributes: Attributes): Shape {
  if (latest?.attributes === attributes) return latest.shape;
  const shape = knownShape(attributes) ?? newShape(namesOf(attributes));
  latest = { attributes, shape };
  return shape;
}

/** Null where names are too long, or too many, to be kept. */
function knownShape(attributes: Attributes): Shape | null {
  if (kept >= mostKept) forget();
  let node: Node | null = root;
  let names = 0;
  for (const kind of kinds) {
    for (const name in attributes[kind]) {
      if (++names > mostNames) return null;
      const last: Node | null = node.last;
      // Names are compared by their address first, which nearly always suffices.
      const isNext: boolean = last !== null && last.name === name && last.kind === kind;
      node = isNext ? last : to(node, kind, name);
      if (node === null) return null;
    }
  }
  if (node.shape === null) {
    node.shape = newShape(namesOf(attributes));
    kept += names;
  }
  return node.shape;
}

function to(from: Node, kind: AttributeKind, name: string): Node | null {
  const at = kinds.indexOf(kind);
  const byName = from.next[at] ?? new Map<string, Node>();
  from.next[at] = byName;
  const known = byName.get(name);
  const node = known ?? (name.length > longestName ? null : nodeOf(kind, name));
  if (node === null) return null;
  if (known === undefined) {
    byName.set(name, node);
    kept += 1;
  }
  from.last = node;
  return node;
}

function forget(): void {
  root = nodeOf("strings", "");
  kept = 0;
}

function nodeOf(kind: AttributeKind, name: string): Node {
  return { kind, name, last: null, next: [], shape: null };
}

function newShape(names: readonly AttributeName[]): Shape {
  return { names, subjects: null, below: new Map() };
}

function namesOf(attributes: Attributes): AttributeName[] {
  return kinds.flatMap((kind) => Object.keys(attributes[kind]).map((name) => ({ kind, name })));
}
