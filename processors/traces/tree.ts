import type { SpanKept } from "../../schemas/types.ts";
import type { TimedSpan } from "./clocks.ts";
import { sameOrFirst } from "./same-or-first.ts";

/** A span in its place, or a stand-in for one that never came. */
export type TraceNode = {
  /** Place among the nodes of its tree in pre-order, from 0. */
  readonly place: number;
  readonly id: string;
  readonly name: string;
  /** Null: a stand-in. */
  readonly span: SpanKept | null;
  /** Aligned times, µs, see clocks.ts. */
  readonly start: number;
  readonly end: number;
  readonly parent: TraceNode | null;
  readonly children: readonly TraceNode[];
  /** True: repair put it where it is. */
  readonly moved: boolean;
};

/** A node while its tree is being made. */
export type GrowingNode = Omit<TraceNode, "place" | "parent" | "children" | "moved"> & {
  place: number;
  parent: GrowingNode | null;
  children: GrowingNode[];
  moved: boolean;
};

/** Each span once, whatever was sent twice. */
export function distinctSpans(spans: readonly SpanKept[]): readonly SpanKept[] {
  const byId = spansById(spans);
  return byId.size === spans.length ? spans : [...byId.values()];
}

/** The same by id, of spans in whatever form. */
export function spansById<Span extends { readonly span_id: string }>(
  spans: readonly Span[],
): Map<string, Span> {
  const byId = new Map<string, Span>();
  for (const span of spans) byId.set(span.span_id, span);
  // Mostly nothing was sent twice, and that is known without looking each one up first.
  if (byId.size === spans.length) return byId;
  byId.clear();
  for (const span of spans) {
    const kept = byId.get(span.span_id);
    byId.set(span.span_id, kept === undefined ? span : sameOrFirst(kept, span));
  }
  return byId;
}

/**
 * The order of things that happened: by sequence id when every one has its own, since no clock can
 * disturb that; else by aligned start, then span id.
 */
export function inOrder<T extends TimedSpan>(spans: readonly T[]): readonly T[] {
  if (isNumberedInOrder(spans)) return spans;
  const numbers = new Set(spans.map(({ span }) => span.sequence_id));
  const numbered = !numbers.has(null) && numbers.size === spans.length;
  return spans.toSorted((a, b) =>
    numbered
      ? (a.span.sequence_id ?? 0) - (b.span.sequence_id ?? 0)
      : a.start - b.start || (a.span.span_id < b.span.span_id ? -1 : 1),
  );
}

/** What most traces are, and found out without making anything. */
function isNumberedInOrder(spans: readonly TimedSpan[]): boolean {
  let before = -Infinity;
  for (const { span } of spans) {
    const at = span.sequence_id;
    if (at === null || at <= before) return false;
    before = at;
  }
  return true;
}

/**
 * The tree of spans with different ids (reference/v0.3-behaviour.md, 3.1), children in the order
 * given. Parents that never came have stand-ins over all of their children, several roots a
 * `virtual-root`. Spans whose parents form a circle are under the first of it: none is lost.
 */
export function treeOf(spans: readonly TimedSpan[]): GrowingNode | null {
  const { roots, absent } = linked(spans.map(nodeOf));
  for (const [id, children] of absent) {
    roots.push(standIn(id, "agentlightning.virtual", children));
  }
  const [only, second] = roots;
  if (only === undefined) return null;
  return second === undefined ? only : standIn(virtualRoot, virtualRoot, roots);
}

type Linked = {
  readonly roots: GrowingNode[];
  /** Children of parents that never came, by these. */
  readonly absent: Map<string, GrowingNode[]>;
};

function linked(nodes: readonly GrowingNode[]): Linked {
  const roots: GrowingNode[] = [];
  const absent = new Map<string, GrowingNode[]>();
  const byId = new Map<string, GrowingNode>();
  for (const node of nodes) byId.set(node.id, node);
  for (const node of nodes) {
    const parentId = node.span?.parent_id ?? null;
    node.parent = parentId === null ? null : (byId.get(parentId) ?? null);
  }
  for (const first of firstsOfCircles(nodes)) first.parent = null;
  for (const node of nodes) {
    const parentId = node.span?.parent_id ?? null;
    if (node.parent !== null) node.parent.children.push(node);
    else if (parentId === null || byId.has(parentId)) roots.push(node);
    else listUnder(absent, parentId).push(node);
  }
  return { roots, absent };
}

/** Id and name of the stand-in over several roots. */
export const virtualRoot = "virtual-root";

/** Every node, parents before their children, in the order of the tree. */
export function preOrder<Node extends { readonly children: readonly Node[] }>(root: Node): Node[] {
  const found: Node[] = [];
  const waiting = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    found.push(node);
    for (let i = node.children.length - 1; i >= 0; i--) {
      const child = node.children[i];
      if (child !== undefined) waiting.push(child);
    }
  }
  return found;
}

/** The same of a tree that is done: its nodes know their places from then on. */
export function placed(root: GrowingNode): readonly TraceNode[] {
  const nodes = preOrder(root);
  nodes.forEach((node, i) => {
    node.place = i;
  });
  return nodes;
}

function nodeOf({ span, start, end }: TimedSpan): GrowingNode {
  const { span_id: id, name } = span;
  return { place: 0, id, name, span, start, end, parent: null, children: [], moved: false };
}

function standIn(id: string, name: string, children: GrowingNode[]): GrowingNode {
  const start = children.reduce((least, child) => Math.min(least, child.start), Infinity);
  const end = children.reduce((most, child) => Math.max(most, child.end), -Infinity);
  const node: GrowingNode = {
    place: 0,
    id,
    name,
    span: null,
    start,
    end,
    parent: null,
    children,
    moved: false,
  };
  for (const child of children) child.parent = node;
  return node;
}

function listUnder(lists: Map<string, GrowingNode[]>, id: string): GrowingNode[] {
  const list = lists.get(id) ?? [];
  lists.set(id, list);
  return list;
}

/** Of the nodes that are their own ancestors the first of each circle. */
function firstsOfCircles(nodes: readonly GrowingNode[]): GrowingNode[] {
  const firsts: GrowingNode[] = [];
  nodes.forEach((node, i) => {
    node.place = i;
  });
  /** By place: number of the walk up that came by first, 0 when none did. */
  const walks = new Int32Array(nodes.length);
  nodes.forEach((start, i) => {
    const walk = i + 1;
    let node: GrowingNode | null = start;
    while (node !== null && walks[node.place] === 0) {
      walks[node.place] = walk;
      node = node.parent;
    }
    if (node !== null && walks[node.place] === walk) firsts.push(firstOfCircle(node));
  });
  return firsts;
}

function firstOfCircle(member: GrowingNode): GrowingNode {
  let first = member;
  for (let node = member.parent; node !== null && node !== member; node = node.parent) {
    if (node.place < first.place) first = node;
  }
  return first;
}
