import assert from "node:assert/strict";
import { test } from "node:test";
import { tablesOf } from "./adapters.ts";
import { traceSpans } from "./traces.ts";

const shape = { prompt: 5, answer: 3, observed: 2 };

test("a generated trace has as many spans as asked for, each once, below one session", () => {
  for (const spans of [15, 100, 501]) {
    const trace = traceSpans("ro", { ...shape, spans });
    assert.equal(trace.length, spans);
    const ids = new Set(trace.map(({ span_id }) => span_id));
    assert.equal(ids.size, spans);
    const tops = trace.filter(({ parent_id }) => parent_id === null);
    assert.equal(tops.length, 1);
    assert.ok(trace.every(({ parent_id }) => parent_id === null || ids.has(parent_id)));
  }
});

test("each call of an agent is shown all that was said before, and something new", () => {
  type Call = { readonly prompt_token_ids?: number[]; readonly response_token_ids?: number[] };
  const calls = traceSpans("ro", { ...shape, spans: 15 })
    .map(({ attributes }) => attributes as Call)
    .filter(({ prompt_token_ids }) => prompt_token_ids !== undefined);
  assert.equal(calls.length, 4);
  for (const [i, { prompt_token_ids = [] }] of calls.entries()) {
    assert.equal(prompt_token_ids.length, 5 + 5 * i);
    const { prompt_token_ids: before = [], response_token_ids: said = [] } = calls[i - 1] ?? {};
    const context = [...before, ...said];
    assert.deepEqual(prompt_token_ids.slice(0, context.length), context);
  }
});

test("figures are by the median pass, and the growth is a rollout's time over that of 500 spans", () => {
  const rows = { ms: [1, 2, 9], rows: 10 };
  const timed = (ms: number) => ({
    calls: 100,
    triplets: [ms, ms * 5, ms],
    rows: { transition: rows, trajectory: rows },
  });
  const pair = (spans: number, rollouts: number, ms: number) => ({
    size: { spans, rollouts },
    theirs: timed(20),
    ours: { ...timed(1), steps: [ms], bare: { transition: rows, trajectory: rows } },
  });
  const [calls, made] = tablesOf([pair(500, 2, 4), pair(5000, 1, 18)]);
  assert.deepEqual(calls?.rows[1], [
    "1 of 5000",
    "100",
    "5,000",
    "100,000",
    "20.0",
    "5,556",
    "1.1",
    "9.0",
  ]);
  assert.deepEqual(made?.rows[0], [
    "2 of 500",
    "transition",
    "10",
    "5,000",
    "5,000",
    "1.0",
    "5,000",
    "1.0",
  ]);
});
