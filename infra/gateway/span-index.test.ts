import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  createSpanIndex,
  forgottenLimit,
  type Missing,
  namesAtOnce,
  rolloutCost,
  type SpanIndex,
  spanCost,
} from "./span-index.ts";

const start = { offsets: new Map([[0, 0]]), time: Number.NEGATIVE_INFINITY };

type Span = { readonly rollout: number; readonly span: number; readonly size: number };

function add(index: SpanIndex, { rollout, span, size }: Span, offset: number): boolean {
  const head = {
    project: "p",
    rolloutId: `r${rollout}`,
    attemptId: "a",
    sequenceId: null,
    spanId: `s${span}`,
  };
  return index.add({ head, partition: 0, offset, timestamp: offset, bytes: Buffer.alloc(size) });
}

const spans = fc.array(
  fc.record({
    rollout: fc.nat({ max: 12 }),
    span: fc.nat({ max: 6 }),
    size: fc.nat({ max: 3000 }),
  }),
  { maxLength: 300 },
);

test("the index is never beyond its limit, whatever is added and remembered", () => {
  fc.assert(
    fc.property(spans, fc.integer({ min: 1, max: 40_000 }), (all, limit) => {
      const index = createSpanIndex(limit, start);
      for (const [offset, one] of all.entries()) {
        add(index, one, offset);
        assert.ok(index.bytes <= limit, `${index.bytes} bytes of ${limit}`);
        index.remember("p", `r${one.rollout}`, [
          { attemptId: "old", spanId: `s${one.span}`, partition: 0, offset: 0 },
        ]);
        assert.ok(index.bytes <= limit, `${index.bytes} bytes of ${limit}`);
      }
    }),
  );
});

test("what it says is missing and what it holds are together every span, each identity once", () => {
  fc.assert(
    fc.property(spans, fc.integer({ min: 2000, max: 30_000 }), fc.nat(20), (all, limit, from) => {
      const index = createSpanIndex(limit, {
        offsets: new Map([[0, from]]),
        time: from === 0 ? Number.NEGATIVE_INFINITY : from - 1,
      });
      for (const [offset, one] of all.entries()) if (offset >= from) add(index, one, offset);
      for (let rollout = 0; rollout <= 12; rollout++) {
        const firsts = firstOffsets(all, rollout);
        // Enqueued just before its first span, as the log has it.
        const enqueuedAt = (firsts.values().next().value ?? all.length) - 0.5;
        const { spans: held, missing } = index.of("p", `r${rollout}`, enqueuedAt);
        const offsets = held.map(({ offset }) => offset);
        const there = [...firsts.values()].filter((at) => at < (missing?.get(0) ?? 0));
        const seen = new Set([...there, ...offsets]);
        for (const at of firsts.values()) assert.ok(seen.has(at), `span at ${at} is nowhere`);
        if (missing === null) assert.deepEqual(offsets, [...firsts.values()]);
      }
    }),
  );
});

/** Offset of the first record of each identity of a rollout. */
function firstOffsets(all: readonly Span[], rollout: number): Map<number, number> {
  const firsts = new Map<number, number>();
  for (const [offset, one] of all.entries()) {
    if (one.rollout === rollout && !firsts.has(one.span)) firsts.set(one.span, offset);
  }
  return firsts;
}

test("what was enqueued before the tail began is not taken for whole", () => {
  const index = createSpanIndex(1e6, { offsets: new Map([[0, 7]]), time: 100 });
  assert.deepEqual(index.of("p", "r1", 100).missing, new Map([[0, 7]]));
  assert.deepEqual(index.of("p", "r1", undefined).missing, new Map([[0, 7]]));
  assert.equal(index.of("p", "r1", 101).missing, null);
});

test("the rollout that was added to longest ago goes first, and where it ended is known", () => {
  const cost = rolloutCost + 2 * "p/r1".length + spanCost + 100 + 2 * "a-s1".length;
  const index = createSpanIndex(2 * cost + spanCost + 200, start);
  add(index, { rollout: 1, span: 1, size: 100 }, 10);
  add(index, { rollout: 2, span: 1, size: 100 }, 11);
  add(index, { rollout: 1, span: 2, size: 100 }, 12);
  assert.equal(index.rollouts, 2);
  add(index, { rollout: 3, span: 1, size: 100 }, 13);
  const missing = (rollout: string): Missing | null => index.of("p", rollout, 5).missing;
  assert.deepEqual([missing("r1"), missing("r3")], [null, null]);
  assert.deepEqual(missing("r2"), new Map([[0, 12]]));
});

test("with more rollouts let go of than it knows by name, all of their time count as not whole", () => {
  const index = createSpanIndex(1, start);
  for (let i = 0; i <= forgottenLimit + 5; i++) add(index, { rollout: i, span: 0, size: 1 }, i);
  const first = namesAtOnce + 1;
  assert.deepEqual(index.of("p", "r0", -1).missing, new Map([[0, first]]));
  assert.deepEqual(index.of("p", "unheard", 3).missing, new Map([[0, first]]));
  assert.equal(index.of("p", "unheard", first).missing, null);
});

test("a repetition is told from the first, in memory and by what was stored before", () => {
  const index = createSpanIndex(1e6, { offsets: new Map([[0, 5]]), time: 100 });
  const head = { project: "p", rolloutId: "r1", attemptId: "a", spanId: "s1" };
  assert.equal(add(index, { rollout: 1, span: 1, size: 1 }, 7), true);
  assert.equal(add(index, { rollout: 1, span: 1, size: 1 }, 8), false);
  assert.equal(index.verdictOf(head, { partition: 0, offset: 7 }), "first");
  assert.equal(index.verdictOf(head, { partition: 0, offset: 8 }), "repeat");
  assert.equal(index.judges("p", "r1", 50), false);
  assert.equal(index.count("p"), 1);
  index.remember("p", "r1", [{ attemptId: "a", spanId: "s1", partition: 0, offset: 2 }]);
  assert.equal(index.judges("p", "r1", 50), true);
  assert.equal(index.verdictOf(head, { partition: 0, offset: 7 }), "repeat");
  assert.equal(index.count("p"), 0);
  const other = { ...head, rolloutId: "r9" };
  assert.equal(index.verdictOf(other, { partition: 0, offset: 9 }), "unknown");
});

test("what ClickHouse has of the same record is no repetition of it", () => {
  const index = createSpanIndex(1e6, { offsets: new Map([[0, 5]]), time: 100 });
  const head = { project: "p", rolloutId: "r1", attemptId: "a", spanId: "s1" };
  add(index, { rollout: 1, span: 1, size: 1 }, 7);
  index.remember("p", "r1", [{ attemptId: "a", spanId: "s1", partition: 0, offset: 7 }]);
  assert.equal(index.verdictOf(head, { partition: 0, offset: 7 }), "first");
  assert.equal(index.count("p"), 1);
});

test("a span that is passed by makes nothing of its time whole", () => {
  const index = createSpanIndex(1e6, start);
  add(index, { rollout: 1, span: 1, size: 1 }, 7);
  index.lose({ partition: 0, offset: 9 }, 9);
  assert.deepEqual(index.of("p", "r1", 6).missing, new Map([[0, 10]]));
  assert.equal(index.of("p", "r2", 10).missing, null);
});

test("the bytes of a span are its own, not a piece of the fetch they came in", () => {
  const index = createSpanIndex(1e6, start);
  const fetched = Buffer.alloc(100_000, 1);
  const head = { project: "p", rolloutId: "r1", attemptId: "a", sequenceId: null, spanId: "s" };
  const bytes = fetched.subarray(10, 20);
  index.add({ head, partition: 0, offset: 1, timestamp: 1, bytes });
  fetched.fill(0);
  const [span] = index.of("p", "r1", 0).spans;
  assert.deepEqual([...(span?.bytes ?? [])], Array(10).fill(1));
  assert.equal(span?.bytes.buffer.byteLength, 10);
});

test("the highest number counts repetitions, and goes with what is let go of", () => {
  const index = createSpanIndex(1e6, start);
  const take = (sequenceId: number | null, offset: number) => {
    const head = { project: "p", rolloutId: "r1", attemptId: "a", sequenceId, spanId: "s" };
    return index.add({ head, partition: 0, offset, timestamp: 1, bytes: Buffer.alloc(3) });
  };
  assert.equal(index.highest("p", "r1"), null);
  assert.ok(take(null, 1));
  assert.equal(index.highest("p", "r1"), null);
  assert.equal(take(90, 2), false, "the same span again");
  assert.equal(take(-5, 3), false);
  assert.equal(index.highest("p", "r1"), 90);
});
