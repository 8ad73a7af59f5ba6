import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toBfloat16 } from "./bfloat16.ts";
import { rolloutOf, turn } from "./fixtures.ts";
import { nested, padAdvantages, padder, padRows } from "./pad.ts";
import { rowsOfTurns } from "./rows-of-turns.ts";

const ids = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 9 });
const options = { prompt: 5, response: 6, pad_id: 0, bfloat16: false };

test("prompts are padded left, responses right; positions count tokens; the reward is on the last token", () => {
  const check = (prompt: number[], response: number[], reward: number): void => {
    const { rows } = rowsOfTurns([rolloutOf([turn(prompt, response)], { reward })], {
      keepEmpty: true,
    });
    const padded = padRows(rows, options);
    const [input = []] = nested(padded.input_ids, 1);
    const [mask = []] = nested(padded.attention_mask, 1);
    const [positions] = nested(padded.position_ids, 1);
    const [scores = []] = nested(padded.token_level_scores, 1);
    const [p, r] = [prompt.slice(0, 5), response.slice(0, 6)];
    const zeros = (count: number): number[] => new Array<number>(count).fill(0);
    assert.deepEqual(input, [...zeros(5 - p.length), ...p, ...r, ...zeros(6 - r.length)]);
    assert.deepEqual(
      mask,
      input.map((id) => (id === 0 ? 0 : 1)),
    );
    let attended = 0;
    const counted = mask.map((one) => {
      attended += one;
      return Math.max(0, attended - 1);
    });
    assert.deepEqual(positions, counted);
    const expected = zeros(6);
    if (r.length > 0) expected[r.length - 1] = reward;
    assert.deepEqual(scores, expected);
  };
  fc.assert(fc.property(ids, ids, fc.double({ noNaN: true }), check), { numRuns: 500 });
});

test("log-probs are a tensor when every row has them", () => {
  const known = rolloutOf([turn([1], [2], [-0.5])]);
  const unknown = rolloutOf([turn([1], [2])]);
  const logprobs = (rollouts: (typeof known)[]) =>
    padRows(rowsOfTurns(rollouts).rows, options).rollout_log_probs;
  assert.deepEqual(logprobs([known])?.data, Float32Array.of(-0.5, 0, 0, 0, 0, 0));
  assert.equal(logprobs([known, unknown]), null);
});

test("memory that was padded into before holds what new memory would", () => {
  const row = fc.record({
    prompt: ids,
    response: ids,
    sampled: fc.boolean(),
    reward: fc.integer(),
  });
  const batches = fc.array(fc.array(row, { maxLength: 4 }), { maxLength: 6 });
  fc.assert(
    fc.property(batches, fc.constantFrom(0, 7), (all, pad_id) => {
      const pad = padder({ ...options, pad_id });
      for (const batch of all) {
        const turns = batch.map(({ prompt, response, sampled, reward }) =>
          rolloutOf([turn(prompt, response, sampled ? response : undefined)], { reward }),
        );
        const { rows } = rowsOfTurns(turns, { keepEmpty: true });
        assert.deepEqual(pad(rows), padRows(rows, { ...options, pad_id }));
      }
    }),
    { numRuns: 500 },
  );
});

test("a reward keeps its 64 bits unless bfloat16 is asked for", () => {
  const { rows } = rowsOfTurns([rolloutOf([turn([1], [2])], { reward: 0.7 })]);
  assert.equal(padRows(rows, options).token_level_scores.data[0], 0.7);
  const rounded = padRows(rows, { ...options, bfloat16: true });
  assert.equal(rounded.token_level_scores.data[0], 0.69921875);
});

test("a bfloat16 is the nearest number with eight bits, of two as near the even one", () => {
  const cases: [number, number][] = [
    [0.1, 0.10009765625],
    [1, 1],
    [-1, -1],
    [1 + 2 ** -8, 1],
    [1 + 3 * 2 ** -8, 1 + 2 ** -6],
    [3.5e38, Number.POSITIVE_INFINITY],
    [Number.NaN, Number.NaN],
    [0, 0],
  ];
  for (const [value, rounded] of cases) assert.equal(toBfloat16(value), rounded);
});

test("advantages are padded under the mask of their row", () => {
  const row = {
    turn_indexes: [0],
    prompt_ids: Int32Array.of(1),
    response_ids: Int32Array.of(2, 3),
  };
  const common = { ...row, logprobs: null, is_drop: false, truncated_tokens: 0, advantage: 2 };
  const rows = [
    { ...common, response_mask: Uint8Array.of(0, 1), advantages: null },
    { ...common, response_mask: Uint8Array.of(1, 1), advantages: Float64Array.of(-1, 3) },
  ];
  assert.deepEqual(nested(padAdvantages(rows, 3), 2), [
    [0, 2, 0],
    [-1, 3, 0],
  ]);
});
