import type { SpanKept } from "../../schemas/types.ts";

/** A span with its times on the one clock all spans of its trace were put on, µs. */
export type TimedSpan = {
  readonly span: SpanKept;
  readonly start: number;
  readonly end: number;
};

/**
 * The spans with their times on one clock. Spans of one clock (`SpanKept.clock`) keep their times.
 * With several, each clock is shifted as a whole, by the first of these that says something:
 *
 * 1. A span whose parent is of another clock lies in the middle of its parent, or around it when it
 *    is the longer one. Of several such pairs the tightest counts: there the least is guessed.
 * 2. Neighbours by sequence id do not overlap. Where that leaves room, the middle of it.
 * 3. The first spans of both clocks begin together.
 *
 * Unlike Jaeger's adjuster, which centres likewise but only spans that stick out of their parents,
 * 1 is always applied: a shift of any clock shifts its correction the other way and nothing else,
 * so that the result is exactly the same. Sequence ids equal on two clocks say nothing about order.
 */
export function onOneClock(spans: readonly SpanKept[]): TimedSpan[] {
  if (spans.every(({ clock }) => clock === spans[0]?.clock)) {
    return spans.map((span) => ({ span, start: span.start_time, end: span.end_time }));
  }
  const clocks = new Set(spans.map(({ clock }) => clock));
  const joined = joinedClocks([...clocks].sort());
  joinParents(joined, spans);
  joinNeighbours(joined, spans);
  joinFirsts(joined, spans);
  return spans.map((span) => joined.timed(span));
}

type Joined = {
  /** The clock all clocks joined to this one are on. */
  readonly base: (clock: string) => string;
  /** Puts two clocks on one, given what to add to times of `b` to have times of `a`. */
  readonly join: (a: string, b: string, add: number) => void;
  /** Times on the base of the span's clock. */
  readonly timed: (span: SpanKept) => TimedSpan;
};

/** Clocks as a forest: each knows what to add to come to the clock above it. */
function joinedClocks(clocks: readonly string[]): Joined {
  const above = new Map(clocks.map((clock) => [clock, { clock, add: 0 }]));
  const placeOf = (clock: string): { clock: string; add: number } => {
    const path: string[] = [];
    let place = { clock, add: 0 };
    for (;;) {
      const next = above.get(place.clock) ?? place;
      if (next.clock === place.clock) break;
      path.push(place.clock);
      place = { clock: next.clock, add: place.add + next.add };
    }
    // Everything on the way now points at the base directly; `rest` is the way from there.
    let rest = place.add;
    for (const passed of path) {
      const { add } = above.get(passed) ?? place;
      above.set(passed, { clock: place.clock, add: rest });
      rest -= add;
    }
    return place;
  };
  return {
    base: (clock) => placeOf(clock).clock,
    join: (a, b, add) => {
      const [to, from] = [placeOf(a), placeOf(b)];
      if (to.clock === from.clock) return;
      above.set(from.clock, { clock: to.clock, add: add + to.add - from.add });
    },
    timed: (span) => {
      const { add } = placeOf(span.clock);
      return { span, start: span.start_time + add, end: span.end_time + add };
    },
  };
}

type Pair = { readonly parent: SpanKept; readonly child: SpanKept; readonly room: number };

function joinParents({ join }: Joined, spans: readonly SpanKept[]): void {
  const byId = new Map(spans.map((span) => [span.span_id, span]));
  const pairs = spans.flatMap((child): Pair[] => {
    const parent = child.parent_id === null ? undefined : byId.get(child.parent_id);
    if (parent === undefined || parent.clock === child.clock) return [];
    const room = parent.end_time - parent.start_time - (child.end_time - child.start_time);
    return [{ parent, child, room }];
  });
  pairs.sort(
    (a, b) =>
      Number(a.room < 0) - Number(b.room < 0) ||
      Math.abs(a.room) - Math.abs(b.room) ||
      (a.child.span_id < b.child.span_id ? -1 : 1),
  );
  for (const { parent, child } of pairs) {
    join(parent.clock, child.clock, half(sumOf(parent) - sumOf(child)));
  }
}

/** What sequence ids say about the shift between two clocks: at least `least`, at most `most`. */
type Bounds = { readonly a: string; readonly b: string; least: number; most: number };

function joinNeighbours(joined: Joined, spans: readonly SpanKept[]): void {
  const numbered = spans
    .flatMap((span) => (span.sequence_id === null ? [] : [{ at: span.sequence_id, span }]))
    .sort((x, y) => x.at - y.at || (x.span.span_id < y.span.span_id ? -1 : 1));
  const found = new Map<string, Bounds>();
  for (let i = 1; i < numbered.length; i++) {
    const [before, after] = [numbered[i - 1], numbered[i]];
    if (before === undefined || after === undefined || before.at === after.at) continue;
    boundBy(joined, found, before.span, after.span);
  }
  for (const { a, b, least, most } of found.values()) {
    const add = least === -Infinity ? most : most === Infinity ? least : half(least + most);
    // Joined meanwhile, both may stand on another base: their own clocks are what was measured.
    joined.join(a, b, add);
  }
}

function boundBy(
  { base, timed }: Joined,
  found: Map<string, Bounds>,
  before: SpanKept,
  after: SpanKept,
): void {
  const [first, second] = [base(before.clock), base(after.clock)];
  if (first === second) return;
  const [a, b] = first < second ? [first, second] : [second, first];
  const key = JSON.stringify([a, b]);
  const bounds = found.get(key) ?? { a, b, least: -Infinity, most: Infinity };
  found.set(key, bounds);
  const distance = timed(before).end - timed(after).start;
  if (second === b) bounds.least = Math.max(bounds.least, distance);
  else bounds.most = Math.min(bounds.most, -distance);
}

function joinFirsts({ base, join, timed }: Joined, spans: readonly SpanKept[]): void {
  const starts = new Map<string, number>();
  for (const span of spans) {
    const clock = base(span.clock);
    starts.set(clock, Math.min(starts.get(clock) ?? Infinity, timed(span).start));
  }
  const [first, ...others] = [...starts].sort(([a], [b]) => (a < b ? -1 : 1));
  if (first === undefined) return;
  for (const [clock, start] of others) join(first[0], clock, first[1] - start);
}

function sumOf(span: SpanKept): number {
  return span.start_time + span.end_time;
}

/** Whole µs; shifting the argument by 2k shifts the result by k, exactly. */
function half(value: number): number {
  return Math.floor(value / 2);
}
