import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type CaseKind, checkCase } from "./cases.ts";
import { isObject } from "./difference.ts";

function recorded(file: string): unknown[] {
  const text = readFileSync(new URL(`recorded/${file}.jsonl`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const files: readonly (readonly [string, CaseKind, number])[] = [
  ["v03_training_row_cases", "v03", 12],
  // Made at random and answered by the reference's own row builder, on numpy instead of torch.
  ["v03_training_row_cases_random", "v03", 80],
  ["v1_adapter_cases", "v1", 28],
  ["v1_adapter_cases_random", "v1", 65],
];

test("every recorded batch is ours, or deviates by a defect whose answer it is exactly", () => {
  for (const [file, kind, count] of files) {
    const outcomes = recorded(file).map((value) => checkCase(kind, value));
    assert.equal(outcomes.length, count, file);
    assert.deepEqual(
      outcomes.filter(({ outcome }) => outcome === "failed"),
      [],
      file,
    );
  }
});

test("of the plain cases only those that meet a defect deviate", () => {
  const deviating = files
    .filter(([file]) => !file.endsWith("random"))
    .flatMap(([file, kind]) => recorded(file).map((value) => checkCase(kind, value)))
    .flatMap((one) => (one.outcome === "deviating" ? [one.rule.slice(0, 3)] : []));
  assert.deepEqual(deviating, ["H14", "H13"]);
});

/** The value with the number at a path below one of its rows changed. */
function changed(value: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return Number(value) + 1;
  if (Array.isArray(value))
    return value.map((item, i) => (i === +key ? changed(item, rest) : item));
  return isObject(value) ? { ...value, [key]: changed(value[key], rest) } : value;
}

test("a case whose answer is changed anywhere fails, also one that a defect explains", () => {
  const paths = [
    ["expected", "batch", "responses", "0", "1"],
    ["expected", "batch", "response_mask", "0", "0"],
    ["expected", "batch", "token_level_scores", "0", "2"],
    ["expected", "metrics", "training/n_triplets"],
  ];
  for (const value of recorded("v03_training_row_cases").slice(-2)) {
    for (const path of paths) {
      assert.equal(checkCase("v03", changed(value, path)).outcome, "failed", path.join("."));
    }
  }
});

test("a case that cannot be read names the field", () => {
  const [value] = recorded("v1_adapter_cases");
  const broken = isObject(value) ? { ...value, rollouts: [{ turns: [{ prompt: [1.5] }] }] } : value;
  const outcome = checkCase("v1", broken);
  assert.match(JSON.stringify(outcome), /rollouts\[0\]\.turns\[0\]\.response is nothing/);
});
