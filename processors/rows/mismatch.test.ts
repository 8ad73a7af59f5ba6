import assert from "node:assert/strict";
import { test } from "node:test";
import { rolloutOf, turn } from "./fixtures.ts";
import { describeMismatches, mostExamples } from "./mismatches.ts";
import { rowsOfTurns } from "./rows-of-turns.ts";
import type { Turn } from "./turn.ts";

const special_ids = new Set([90, 91]);
const words: Readonly<Record<number, string>> = { 1: "re", 2: "al", 3: "real", 4: "ly", 5: "no" };
const decode = (ids: Int32Array): string => Array.from(ids, (id) => words[id] ?? "").join("");

function kindsOf(turns: readonly Turn[], several = true): readonly (readonly string[])[] {
  const vocabulary = { special_ids, decode };
  const options = { level: "trajectory", several, vocabulary } as const;
  const { mismatches } = rowsOfTurns([rolloutOf(turns)], options);
  return mismatches.examples.map(({ kinds }) => kinds);
}

test("a turn whose special tokens differ is a mismatch of the template", () => {
  assert.deepEqual(kindsOf([turn([90, 1], [2]), turn([91, 1, 2, 5], [4])]), [["template"]]);
});

test("a turn with other tokens for the same text is a mismatch of the tokeniser", () => {
  assert.deepEqual(kindsOf([turn([90, 1], [2]), turn([90, 3, 4], [5])]), [["retokenisation"]]);
});

test("a turn of another template that retokenises is both", () => {
  const kinds = kindsOf([turn([90, 1], [2]), turn([91, 3, 4], [5])]);
  assert.deepEqual(kinds, [["template", "retokenisation"]]);
});

test("a turn with another text is neither, and so is any without a decoder", () => {
  assert.deepEqual(kindsOf([turn([90, 1], [2]), turn([90, 5], [4])]), [["other"]]);
  const rows = rowsOfTurns([rolloutOf([turn([1], [2]), turn([3], [4])])], { level: "trajectory" });
  assert.deepEqual(rows.mismatches.kinds, { template: 0, retokenisation: 0, branch: 0, other: 1 });
  assert.equal(rows.mismatches.examples[0]?.turn_text, null);
});

test("another try from a state that was gone on from is a branch, not a mismatch of tokens", () => {
  const turns = [turn([1], [2]), turn([1, 2, 3], [4]), turn([1, 2, 5], [4]), turn([1], [5])];
  assert.deepEqual(kindsOf(turns), [["branch"], ["branch"]]);
});

test("an example shows both token lists from shortly before they differ", () => {
  const long = Array.from({ length: 50 }, (_, i) => i + 100);
  const turns = [turn(long, [1, 2]), turn([...long, 1, 5], [4])];
  const { examples } = rowsOfTurns([rolloutOf(turns)], {
    level: "trajectory",
    vocabulary: { decode },
  }).mismatches;
  const [example] = examples;
  assert.equal(example?.shared, 51);
  assert.deepEqual(example?.context_ids.slice(-3), Int32Array.of(149, 1, 2));
  assert.deepEqual(example?.turn_ids.slice(-4), Int32Array.of(149, 1, 5, 4));
  assert.equal(example?.context_text, "real");
});

test("all mismatches are counted, a hundred of them shown", () => {
  const turns = Array.from({ length: 301 }, (_, i) => turn([i], [7]));
  const { mismatches } = rowsOfTurns([rolloutOf(turns)], { level: "trajectory" });
  assert.equal(mismatches.turns, 300);
  assert.equal(mismatches.kinds.other, 300);
  assert.equal(mismatches.examples.length, mostExamples);
  assert.equal(describeMismatches(mismatches), "300 turns began a row: 300 other");
});

test("many short turns near one long context are counted without reading it over and over", () => {
  const long = Array.from({ length: 4000 }, (_, i) => i);
  const short = Array.from({ length: 400 }, (_, i) => turn([...long.slice(0, i), -1], [7]));
  let decoded = 0;
  const counting = (ids: Int32Array): string => {
    decoded += ids.length;
    return "";
  };
  const turns = [turn(long, [7]), ...short];
  const { mismatches } = rowsOfTurns([rolloutOf(turns)], {
    level: "trajectory",
    vocabulary: { decode: counting },
  });
  const tokens = turns.reduce((sum, { prompt_ids }) => sum + prompt_ids.length + 1, 0);
  assert.equal(mismatches.turns, 400);
  assert.ok(decoded < 5 * tokens, `${decoded} tokens decoded of ${tokens}`);
});
