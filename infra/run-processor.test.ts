import assert from "node:assert/strict";
import { test } from "node:test";
import { lastOfEachKey } from "./run-processor.ts";

test("of a compacted topic a commit sends the last record of each key, of others all", () => {
  const record = (topic: string, key: string, value: string) => ({
    topic,
    key,
    value: value === "" ? null : Buffer.from(value),
  });
  const sent = lastOfEachKey([
    record("rollouts", "p/a", "1"),
    record("spans", "p/a", "mark 1"),
    record("rollouts", "p/b", "2"),
    record("rollouts", "p/a", "3"),
    record("spans", "p/a", "mark 2"),
    record("resources", "p/a", "of another topic"),
    record("rollouts", "p/b", ""),
    record("track-rollouts.dead-letters", "k", "one"),
    record("track-rollouts.dead-letters", "k", "two"),
  ]);
  assert.deepEqual(
    sent.map(({ topic, key, value }) => [topic, key, value?.toString() ?? null]),
    [
      ["spans", "p/a", "mark 1"],
      ["rollouts", "p/a", "3"],
      ["spans", "p/a", "mark 2"],
      ["resources", "p/a", "of another topic"],
      ["rollouts", "p/b", null],
      ["track-rollouts.dead-letters", "k", "one"],
      ["track-rollouts.dead-letters", "k", "two"],
    ],
  );
});
