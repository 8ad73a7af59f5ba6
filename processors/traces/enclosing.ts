import type { GrowingNode } from "./tree.ts";

/** Nodes of one interval, in the order of the tree; their places are their ranks. */
type Interval = { readonly start: number; readonly end: number; readonly nodes: GrowingNode[] };

/** What is known of a range of intervals: how far they reach, and the shortest with its first rank. */
type Range = { readonly end: number; readonly length: number; readonly rank: number };

type Best = { node: GrowingNode | null; length: number; rank: number };

/**
 * Answers which of the nodes encloses a given one of `inners` most tightly without having its very
 * interval: the shortest, of equally short ones the first, that `allowed` lets pass. O(log n) unless
 * the tightest one is not allowed; then others are searched for. Nodes get their place among these.
 */
export function enclosing(
  nodes: readonly GrowingNode[],
  inners: readonly GrowingNode[],
): (inner: GrowingNode, allowed: (node: GrowingNode) => boolean) => GrowingNode | null {
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i];
    if (node !== undefined) node.place = i;
  }
  const intervals = intervalsOf(nodes);
  const outer = inners.length > fewInners ? tightestOf(intervals, nodes.length, inners) : null;
  let search: Search | undefined;
  return (inner, allowed) => {
    const tightest = outer === null ? tightestAround(inner, intervals) : outer[inner.place];
    if (tightest === undefined) return null;
    const found = tightest.nodes.find(allowed);
    if (found !== undefined) return found;
    search ??= searchIn(intervals);
    return search(inner, allowed);
  };
}

/** For so many a look at every interval each is done before an index is made. */
const fewInners = 8;

function tightestAround(
  { start, end }: GrowingNode,
  intervals: readonly Interval[],
): Interval | undefined {
  let best: Interval | undefined;
  for (const each of intervals) {
    if (each.start > start) break;
    const isOwn = each.start === start && each.end === end;
    if (each.end >= end && !isOwn) best = shorter(best, each);
  }
  return best;
}

/**
 * The tightest interval around that of each of the nodes asked for, by its place. Intervals come by
 * start; those met before are kept by how late they end, so that the shortest of all that end late
 * enough is found at once.
 */
function tightestOf(
  intervals: readonly Interval[],
  places: number,
  inners: readonly GrowingNode[],
): readonly (Interval | undefined)[] {
  const asked = new Uint8Array(places);
  for (const { place } of inners) asked[place] = 1;
  const met = noneMet(intervals);
  const outer = new Array<Interval | undefined>(places);
  for (let from = 0; from < intervals.length; ) {
    const start = intervals[from]?.start;
    let to = from;
    for (; to < intervals.length && intervals[to]?.start === start; to++) {
      const interval = intervals[to];
      if (interval === undefined) break;
      for (const { place } of interval.nodes) {
        if (asked[place] === 0) continue;
        const next = intervals[to + 1];
        // Of those that start together the next to end is the tightest.
        const beside = next?.start === start ? next : undefined;
        outer[place] = shorter(shortestMet(met, interval.end), beside);
      }
    }
    for (; from < to; from++) meet(met, intervals[from]);
  }
  return outer;
}

/** Intervals met so far, to be asked for the shortest of those that end at a time or later. */
type Met = {
  /** Ends of all intervals there are, ascending. */
  readonly ends: Float64Array;
  /**
   * By how many intervals end as late or later: at i the shortest of those above i without its
   * lowest bit, up to i (a Fenwick tree).
   */
  readonly best: (Interval | undefined)[];
};

function noneMet(intervals: readonly Interval[]): Met {
  const ends = new Float64Array(intervals.length);
  for (let i = 0; i < ends.length; i++) ends[i] = intervals[i]?.end ?? 0;
  return { ends: ends.sort(), best: new Array<Interval | undefined>(ends.length + 1) };
}

function meet({ ends, best }: Met, interval: Interval | undefined): void {
  if (interval === undefined) return;
  for (let i = countFrom(ends, interval.end); i < best.length; i += i & -i) {
    best[i] = shorter(best[i], interval);
  }
}

function shortestMet({ ends, best }: Met, end: number): Interval | undefined {
  let found: Interval | undefined;
  for (let i = countFrom(ends, end); i > 0; i -= i & -i) found = shorter(found, best[i]);
  return found;
}

/** How many of them, which are ascending, are as late or later. */
function countFrom(ends: Float64Array, time: number): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return ends.length - low;
}

function shorter(a: Interval | undefined, b: Interval | undefined): Interval | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const more = b.end - b.start - (a.end - a.start);
  return more < 0 || (more === 0 && rankOf(b) < rankOf(a)) ? b : a;
}

function rankOf({ nodes }: Interval): number {
  return nodes[0]?.place ?? 0;
}

function rangeOf(interval: Interval): Range {
  const { start, end } = interval;
  return { end, length: end - start, rank: rankOf(interval) };
}

type Search = (inner: GrowingNode, allowed: (node: GrowingNode) => boolean) => GrowingNode | null;

/**
 * The same for whatever is allowed: intervals stand in a tree by start; ranges that end too early or
 * hold nothing shorter than what was found are passed over, the latest start first.
 */
function searchIn(intervals: readonly Interval[]): Search {
  const ranges = rangesOf(intervals);
  const half = ranges.length / 2;
  return (inner, allowed) => {
    const best: Best = { node: null, length: Infinity, rank: Infinity };
    const visit = (at: number, from: number, size: number): void => {
      const range = ranges[at];
      if (range === undefined || range.end < inner.end || !isBetter(range, best)) return;
      if ((intervals[from]?.start ?? Infinity) > inner.start) return;
      if (at >= half) look(intervals[from], inner, allowed, best);
      else {
        visit(2 * at + 1, from + size / 2, size / 2);
        visit(2 * at, from, size / 2);
      }
    };
    visit(1, 0, half);
    return best.node;
  };
}

function look(
  interval: Interval | undefined,
  inner: GrowingNode,
  allowed: (node: GrowingNode) => boolean,
  best: Best,
): void {
  if (interval === undefined) return;
  const length = interval.end - interval.start;
  if (length <= inner.end - inner.start) return;
  const found = interval.nodes.find((node) => node !== inner && allowed(node));
  if (found === undefined || !isBetter({ length, rank: found.place }, best)) return;
  best.node = found;
  best.length = length;
  best.rank = found.place;
}

function isBetter(a: Omit<Range, "end">, b: Omit<Range, "end">): boolean {
  return a.length < b.length || (a.length === b.length && a.rank < b.rank);
}

function intervalsOf(nodes: readonly GrowingNode[]): Interval[] {
  const intervals: Interval[] = [];
  for (const node of isByTime(nodes) ? nodes : nodes.toSorted(byTime)) {
    const { start, end } = node;
    const last = intervals[intervals.length - 1];
    if (last?.start === start && last.end === end) last.nodes.push(node);
    else intervals.push({ start, end, nodes: [node] });
  }
  return intervals;
}

/** What most trees are, because children come in the order of things that happened. */
function isByTime(nodes: readonly GrowingNode[]): boolean {
  return nodes.every((node, i) => {
    const before = nodes[i - 1];
    return before === undefined || byTime(before, node) <= 0;
  });
}

function byTime(a: GrowingNode, b: GrowingNode): number {
  return a.start - b.start || a.end - b.end;
}

/** A binary tree in an array, 1 being the root and 2i and 2i+1 what is below i. */
function rangesOf(intervals: readonly Interval[]): Range[] {
  let size = 1;
  while (size < intervals.length) size *= 2;
  const none: Range = { end: -Infinity, length: Infinity, rank: Infinity };
  const ranges = Array.from({ length: 2 * size }, () => none);
  intervals.forEach((interval, i) => {
    ranges[size + i] = rangeOf(interval);
  });
  for (let i = size - 1; i > 0; i--) {
    const [left, right] = [ranges[2 * i] ?? none, ranges[2 * i + 1] ?? none];
    const shorter = isBetter(right, left) ? right : left;
    ranges[i] = { ...shorter, end: Math.max(left.end, right.end) };
  }
  return ranges;
}
