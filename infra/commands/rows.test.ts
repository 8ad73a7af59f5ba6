import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { traceSpans } from "../bench/traces.ts";

const lightning = fileURLToPath(new URL("../lightning.js", import.meta.url));

/** What `lightning rows` prints for these spans, one per line. */
function rows(spans: readonly object[], ...options: readonly string[]) {
  const input = spans.map((span) => JSON.stringify(span)).join("\n");
  const args = [lightning, "rows", "-", ...options];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { input, encoding: "utf8" });
  return { stdout, stderr, status };
}

const trace = (rollout: string, attempt_id: string, later = 0) =>
  traceSpans(rollout, { spans: 15, prompt: 3, answer: 2, observed: 1 }).map((span) => ({
    ...span,
    attempt_id,
    start_time: Number(span.start_time) + later,
    end_time: Number(span.end_time) + later,
  }));

test("spans in a file become rows of the attempt that began last, merged and with their reward", () => {
  const spans = [...trace("a", "at-2", 60), ...trace("a", "at-1").slice(0, 3)];
  const { stdout, stderr, status } = rows(spans, "--level", "trajectory");
  assert.equal(status, 0, stderr);
  const [row, ...others] = JSON.parse(stdout);
  assert.equal(others.length, 0);
  assert.deepEqual(row.turn_indexes, [0, 1, 2, 3]);
  assert.equal(row.prompt_ids.length, 3);
  assert.deepEqual(row.response_mask, [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1]);
  assert.equal(row.reward, 0);
  assert.match(stderr, /1 rows of 4 calls in 1 rollouts/);
});

test("with --pad they are tensors of these widths, with a mark on prompts that are cut", () => {
  const { stdout } = rows(trace("a", "at-1"), "--pad", "4,2", "--format", "json");
  const { input_ids, attention_mask, is_drop_mask, token_level_scores } = JSON.parse(stdout);
  assert.deepEqual(attention_mask[0], [0, 1, 1, 1, 1, 1]);
  assert.ok(input_ids.every((ids: unknown[]) => ids.length === 6));
  assert.deepEqual(is_drop_mask, [false, true, true, true]);
  assert.equal(token_level_scores[0].length, 2);
});

test("a wrong option says what it read and what is allowed", () => {
  for (const [option, value, message] of [
    ["--pad", "12", /--pad is "12", allowed are two numbers of tokens/],
    ["--level", "turn", /--level is "turn", allowed are transition, trajectory/],
    ["--special-ids", "7,x", /--special-ids\[1\] is "x", allowed is a token id/],
  ] as const) {
    const { stderr, status } = rows([], option, value);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
});
