import { ownBytes } from "../../schemas/bytes.ts";
import type { SpanHead } from "../../schemas/span-head.ts";
import { keyOf, splitKey } from "../../schemas/topics.ts";

/** A span as the log has it. */
export type IndexedSpan = {
  readonly partition: number;
  readonly offset: number;
  /** The record's value, Confluent wire format. */
  readonly bytes: Buffer;
};

/** Where a reader must have come to have everything that the index does not. */
export type Missing = ReadonlyMap<number, number>;

/** What the index knows of a rollout. */
export type Known = {
  /** First of each identity, in log order. */
  readonly spans: readonly IndexedSpan[];
  /** Null: these are all there are. Otherwise the rest lies before these offsets, by partition. */
  readonly missing: Missing | null;
};

/** Where the first span of an identity stands. */
export type StoredIdentity = {
  readonly attemptId: string;
  readonly spanId: string;
  readonly partition: number;
  readonly offset: number;
};

/** What a span is to those of its identity, where that can be told from here. */
export type Verdict = "first" | "repeat" | "unknown";

/**
 * The spans of the rollouts last heard of, by rollout, never above a limit of bytes.
 *
 * What it costs: each span its bytes, its identity and `spanCost`, each rollout its key and
 * `rolloutCost`. The sum is `bytes`, which is not above `limit` after any call. Beside it stand the
 * names of rollouts it had to let go of, at most `forgottenLimit` of some 300 bytes, and, in
 * tail-spans.ts, what transactions under way have written.
 *
 * It tells whether it holds a rollout whole, from when the rollout was enqueued: what was enqueued
 * after the tail's start and was not let go of since has all its spans here.
 */
export type SpanIndex = {
  /** Takes a span in; returns false when its identity is here already. */
  add(span: IndexedSpan & { readonly head: SpanHead; readonly timestamp: number }): boolean;
  /** @param enqueuedAt ms since epoch; undefined: nobody knows, so nothing is known to be whole. */
  of(project: string, rolloutId: string, enqueuedAt: number | undefined): Known;
  /** The highest number of a rollout's spans here, repetitions included; null: none has one. */
  highest(project: string, rolloutId: string): number | null;
  /** Whether the span at a place is the first of its identity. */
  verdictOf(
    head: Omit<SpanHead, "sequenceId">,
    place: { partition: number; offset: number },
  ): Verdict;
  /** Keeps what ClickHouse has of a rollout, so that it need not be asked again. */
  remember(project: string, rolloutId: string, stored: readonly StoredIdentity[]): void;
  /** A span passed by that is not taken in: nothing that was enqueued by then is whole here. */
  lose(place: { readonly partition: number; readonly offset: number }, timestamp: number): void;
  /** Whether repetitions of a rollout's spans are recognised here. */
  judges(project: string, rolloutId: string, enqueuedAt: number | undefined): boolean;
  /** Rollouts of a project that have spans here. */
  rolloutsOf(project: string): readonly string[];
  /** First spans of a project taken in since the start. */
  count(project: string): number;
  readonly bytes: number;
  readonly rollouts: number;
};

/** Bytes a span is charged with besides its own: its buffer, its entry, its identity. */
export const spanCost = 400;
/** Bytes a rollout is charged with besides its key. */
export const rolloutCost = 600;
/** How many rollouts that were let go of are known by name. */
export const forgottenLimit = 50_000;
/** How many names are let go of at once. */
export const namesAtOnce = 500;
/** The part of the limit that is let go of at once: one in so many. */
const evictedAtOnce = 128;

type Entry = {
  readonly key: string;
  /** Identity → place in `spans`. */
  readonly identities: Map<string, number>;
  readonly spans: IndexedSpan[];
  /** Identities that were stored before what is here; null: not asked. */
  stored: Set<string> | null;
  /** Log time of its first span here, ms. */
  readonly firstAt: number;
  /** Rollouts enqueued by then had spans that are not here, as it was when this entry began. */
  wholeAfter: number;
  highest: number | null;
  bytes: number;
};

type Forgotten = { readonly firstAt: number; readonly ends: Map<number, number> };

/**
 * @param limit of bytes; at least one span of any size is taken in and let go of again.
 * @param start where the tail begins: `offsets` by partition, and the log time (ms) up to which
 *   there may be spans before them.
 */
export function createSpanIndex(
  limit: number,
  start: { readonly offsets: Missing; readonly time: number },
): SpanIndex {
  /** The one that was added to longest ago comes first. */
  const entries = new Map<string, Entry>();
  const forgotten = new Map<string, Forgotten>();
  /** Offsets below which there are spans that are neither here nor of a rollout known by name. */
  const lostBelow = new Map(start.offsets);
  const counts = new Map<string, number>();
  let wholeAfter = start.time;
  let lostAt = Number.NEGATIVE_INFINITY;
  let bytes = 0;

  function entryOf(key: string, timestamp: number): Entry {
    const found = entries.get(key);
    if (found !== undefined) {
      entries.delete(key);
      entries.set(key, found);
      return found;
    }
    const made: Entry = {
      key,
      identities: new Map(),
      spans: [],
      stored: null,
      firstAt: timestamp,
      wholeAfter,
      highest: null,
      bytes: 0,
    };
    entries.set(key, made);
    charge(made, rolloutCost + 2 * key.length);
    return made;
  }

  function charge(entry: Entry, cost: number): void {
    entry.bytes += cost;
    bytes += cost;
  }

  /** Goes a little below the limit: at a Map's start one passes over all it dropped there before. */
  function evict(): void {
    if (bytes <= limit) return;
    const room = limit - limit / evictedAtOnce;
    for (const entry of entries.values()) {
      if (bytes <= room || (bytes <= limit && entries.size === 1)) return;
      entries.delete(entry.key);
      bytes -= entry.bytes;
      forget(entry);
    }
  }

  function forget({ key, spans, firstAt }: Entry): void {
    const before = forgotten.get(key);
    const ends = before?.ends ?? new Map<number, number>();
    for (const { partition, offset } of spans) {
      ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1));
    }
    forgotten.delete(key);
    forgotten.set(key, { firstAt: before?.firstAt ?? firstAt, ends });
    if (forgotten.size <= forgottenLimit) return;
    for (const [oldest, name] of forgotten) {
      if (forgotten.size <= forgottenLimit - namesAtOnce) return;
      forgetTheName(oldest, name);
    }
  }

  /** A rollout forgotten long ago is from now on one of those enqueued by its time. */
  function forgetTheName(key: string, { firstAt, ends }: Forgotten): void {
    forgotten.delete(key);
    wholeAfter = Math.max(wholeAfter, firstAt);
    for (const [partition, end] of ends) {
      lostBelow.set(partition, Math.max(lostBelow.get(partition) ?? 0, end));
    }
    const entry = entries.get(key);
    if (entry !== undefined) entry.wholeAfter = Number.POSITIVE_INFINITY;
  }

  function missingOf(key: string, enqueuedAt: number | undefined): Missing | null {
    const name = forgotten.get(key);
    const after = Math.max(lostAt, entries.get(key)?.wholeAfter ?? wholeAfter);
    if (name === undefined && enqueuedAt !== undefined && enqueuedAt > after) return null;
    const missing = new Map(lostBelow);
    for (const [partition, end] of name?.ends ?? []) {
      missing.set(partition, Math.max(missing.get(partition) ?? 0, end));
    }
    return missing;
  }

  return {
    add({ head, timestamp, partition, offset, bytes: value }) {
      const entry = entryOf(keyOf(head.project, head.rolloutId), timestamp);
      const identity = identityOf(head.attemptId, head.spanId);
      if (head.sequenceId !== null) {
        entry.highest = Math.max(entry.highest ?? head.sequenceId, head.sequenceId);
      }
      if (entry.identities.has(identity) || entry.stored?.has(identity) === true) return false;
      entry.identities.set(identity, entry.spans.length);
      entry.spans.push({ partition, offset, bytes: ownBytes(value) });
      counts.set(head.project, (counts.get(head.project) ?? 0) + 1);
      charge(entry, spanCost + value.length + 2 * identity.length);
      evict();
      return true;
    },
    of(project, rolloutId, enqueuedAt) {
      const key = keyOf(project, rolloutId);
      const spans = [...(entries.get(key)?.spans ?? [])];
      return { spans: spans.sort(byPlace), missing: missingOf(key, enqueuedAt) };
    },
    highest: (project, rolloutId) => entries.get(keyOf(project, rolloutId))?.highest ?? null,
    verdictOf({ project, rolloutId, attemptId, spanId }, { partition, offset }) {
      const entry = entries.get(keyOf(project, rolloutId));
      if (entry === undefined) return "unknown";
      const identity = identityOf(attemptId, spanId);
      if (entry.stored?.has(identity) === true) return "repeat";
      const first = entry.spans[entry.identities.get(identity) ?? -1];
      if (first === undefined) return "unknown";
      return isAt(first, { partition, offset }) ? "first" : "repeat";
    },
    judges(project, rolloutId, enqueuedAt) {
      const key = keyOf(project, rolloutId);
      const entry = entries.get(key);
      return entry !== undefined && (entry.stored !== null || missingOf(key, enqueuedAt) === null);
    },
    rolloutsOf: (project) =>
      [...entries.keys()].map(splitKey).flatMap((key) => (key.project === project ? key.id : [])),
    remember(project, rolloutId, stored) {
      const entry = entries.get(keyOf(project, rolloutId));
      if (entry === undefined) return;
      entry.stored ??= new Set();
      for (const { attemptId, spanId, ...place } of stored) {
        const identity = identityOf(attemptId, spanId);
        const here = entry.spans[entry.identities.get(identity) ?? -1];
        if (entry.stored.has(identity) || (here !== undefined && isAt(here, place))) continue;
        entry.stored.add(identity);
        charge(entry, storedCost + 2 * identity.length);
        // What is here was a repetition of it.
        if (here !== undefined) counts.set(project, (counts.get(project) ?? 0) - 1);
      }
      evict();
    },
    lose({ partition, offset }, timestamp) {
      lostAt = Math.max(lostAt, timestamp);
      lostBelow.set(partition, Math.max(lostBelow.get(partition) ?? 0, offset + 1));
    },
    count: (project) => counts.get(project) ?? 0,
    get bytes() {
      return bytes;
    },
    get rollouts() {
      return entries.size;
    },
  };
}

const storedCost = 60;

/** A span's identity within its rollout. */
export function identityOf(attemptId: string, spanId: string): string {
  return `${attemptId}\u0000${spanId}`;
}

type Place = { readonly partition: number; readonly offset: number };

function isAt(a: Place, b: Place): boolean {
  return a.partition === b.partition && a.offset === b.offset;
}

export function byPlace(a: Place, b: Place): number {
  return a.partition - b.partition || a.offset - b.offset;
}
