import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Call, SpanKept } from "../../schemas/types.ts";
import { rewardMatches, type Selection } from "./selection.ts";
import { kept, keptCall, keptReward, outcomeOf, traceOf } from "./trace-fixtures.ts";
import { preOrder } from "./tree.ts";

const minute = 60_000_000;
const now = 1_700_000_000_000_000;
const clocks = ["", "agent", "proxy", "judge"];

/** Which spans have sequence ids. */
type Numbers = "none" | "some" | "all";

function isNumbered(numbers: Numbers, times: number): boolean {
  return numbers === "all" || (numbers === "some" && times % 3 === 0);
}

/** A span made of two random numbers, so that traces of 500 are made, and made smaller, quickly. */
function spanOf(i: number, shape: number, times: number, numbers: Numbers): SpanKept {
  const parents = [null, `s${(shape >>> 8) % (i + 1)}`, `s${(shape >>> 8) % 500}`, "absent"];
  const fields = {
    parent_id: parents[(shape >>> 3) & 3] ?? null,
    clock: clocks[(shape >>> 5) & 3] ?? "",
    sequence_id: isNumbered(numbers, times) ? ((shape >>> 17) & 1023) * 512 + i : null,
    agent: (shape >>> 27) & 1 ? `agent ${(shape >>> 28) & 3}` : null,
    links: (shape >>> 30) & 1 ? [{ key: "span_id", value: `s${(times >>> 8) % 500}` }] : [],
    span_links: shape >>> 31 ? [linkTo(times >>> 8), linkTo(times >>> 20)] : [],
  };
  const start = now + (times & 0xffff) * 10;
  const end = start + ((times >>> 16) & 0xff) * 40;
  const kind = shape & 7;
  if (kind > 4) return keptCall(`s${i}`, start, end, fields, callFields(times));
  if (kind > 2) return keptReward(`s${i}`, start, (times & 7) / 4, fields);
  return kept(`s${i}`, start, end, { ...fields, reward_scope: kind === 0 && times % 5 === 0 });
}

function linkTo(span: number): SpanKept["span_links"][number] {
  return { trace_id: "t", span_id: `s${span % 500}`, choice: null };
}

function callFields(times: number): Partial<Call> {
  const id = (times >>> 24) & 31;
  return {
    response_id: id === 0 ? null : `r${id * 512 + ((times >>> 4) & 7)}`,
    policy_version: times & 1 ? 3 : null,
    error: (times & 60) === 0 ? "failed" : null,
    completion: times & 24 ? '{"content":"x"}' : "{}",
  };
}

const anyTrace = fc
  .tuple(
    fc.uint32Array({ minLength: 2, maxLength: 1000, size: "max" }),
    fc.constantFrom<Numbers>("none", "some", "all"),
  )
  .map(([words, numbers]) =>
    Array.from({ length: words.length >> 1 }, (_, i) =>
      spanOf(i, words[2 * i] ?? 0, words[2 * i + 1] ?? 0, numbers),
    ),
  );

const anySelection: fc.Arbitrary<Partial<Selection>> = fc.record({
  agents: fc.constantFrom([], [{ match: "agent [01]", policy: "p" }]),
  judges: fc.boolean(),
  repair: fc.boolean(),
  reward_match: fc.constantFrom(...rewardMatches),
});

/** Up to ten minutes for each clock. */
const anySkew = fc.array(fc.integer({ min: -10 * minute, max: 10 * minute }), {
  minLength: clocks.length,
  maxLength: clocks.length,
});

function skewed(span: SpanKept, skew: readonly number[]): SpanKept {
  const add = skew[clocks.indexOf(span.clock)] ?? 0;
  return { ...span, start_time: span.start_time + add, end_time: span.end_time + add };
}

/** The same every time for the same seed. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const keyed = items.map((item, i) => ({ item, key: Math.imul(i + 1, seed | 1) >>> 0, i }));
  return keyed.sort((a, b) => a.key - b.key || a.i - b.i).map(({ item }) => item);
}

test("order, copies and clocks up to ten minutes apart change nothing, in 1,000 random traces", () => {
  fc.assert(
    fc.property(anyTrace, anySelection, anySkew, fc.integer(), (spans, selection, skew, seed) => {
      const sent = spans.map((span) => skewed(span, skew));
      const copies = sent.filter((_, i) => (i + seed) % 7 === 0).map((span) => ({ ...span }));
      const other = traceOf(shuffled([...sent, ...copies], seed), selection);
      assert.deepEqual(outcomeOf(other), outcomeOf(traceOf(spans, selection)));
    }),
    { numRuns: 1000 },
  );
});

test("every call is in the calls or in the omitted ones, exactly once, and no span leaves the tree", () => {
  fc.assert(
    fc.property(anyTrace, anySelection, (spans, selection) => {
      const { root, calls, omitted } = traceOf(spans, selection);
      const said = [...calls, ...omitted].flatMap(({ span }) => span?.span_id ?? []);
      const all = spans.filter(({ call }) => call !== null).map(({ span_id }) => span_id);
      assert.deepEqual(said.sort(), all.sort());
      const nodes = root === null ? [] : preOrder(root);
      const inTree = nodes.flatMap(({ span }) => span?.span_id ?? []);
      assert.deepEqual(inTree.sort(), spans.map(({ span_id }) => span_id).sort());
    }),
    { numRuns: 300 },
  );
});

test("every reward is with a call or unmatched, exactly once, unless calls have choices", () => {
  fc.assert(
    fc.property(anyTrace, anySelection, (spans, selection) => {
      const { calls, unmatched } = traceOf(spans, selection);
      const said = [
        ...calls.flatMap(({ rewardSpans }) => rewardSpans),
        ...unmatched.map(({ span_id }) => span_id),
      ];
      const all = spans.filter(({ reward }) => reward !== null).map(({ span_id }) => span_id);
      assert.deepEqual(said.sort(), all.sort());
    }),
    { numRuns: 300 },
  );
});

/** Wide, deep, all at the same time, agents around agents, circles: what quadratic code dies of. */
const shapes: Readonly<Record<string, (i: number, n: number) => SpanKept>> = {
  wide: (i, n) =>
    keptCall(`s${i}`, i * 10, i * 10 + 9, { parent_id: i === 0 ? null : "s0", sequence_id: n - i }),
  deep: (i, n) => keptCall(`s${i}`, i, 3 * n - i, { parent_id: i === 0 ? null : `s${i - 1}` }),
  same: (i) => (i % 2 ? kept(`s${i}`, 0, 100) : keptReward(`s${i}`, 50, 1)),
  around: (i, n) =>
    i % 2 ? kept(`s${i}`, i, 9 * n - i, { agent: "a" }) : keptCall(`s${i}`, i, i + 1),
  circles: (i) => keptCall(`s${i}`, i, i + 1, { parent_id: `s${i ^ 1}` }),
  overlapping: (i, n) =>
    i % 2 ? keptCall(`s${i}`, i, n + (i % 97)) : keptReward(`s${i}`, n + i, 1),
  clocked: (i) => keptCall(`s${i}`, i, i + 5, { clock: `c${i}`, sequence_id: i }),
};

for (const [name, shape] of Object.entries(shapes)) {
  test(`a trace of 20,000 spans is read in a moment: ${name}`, () => {
    const spans = Array.from({ length: 20_000 }, (_, i) => shape(i, 20_000));
    const started = process.cpuUsage();
    traceOf(spans);
    const { user } = process.cpuUsage(started);
    // About 0.2 s here; a quadratic step would take 20,000² and minutes.
    assert.ok(user < 4_000_000, `took ${user / 1e6} s`);
  });
}
