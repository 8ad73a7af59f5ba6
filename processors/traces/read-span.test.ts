import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { rewardOf, spanOf } from "./fixtures.ts";
import { readSpan } from "./read-span.ts";

const read = (span: SpanRecorded): SpanKept =>
  readSpan(span, { partition: 0, offset: 0, timestamp: 0 });

for (const [form, span, reward] of [
  ["a number", rewardOf("r", 1, 0.5), 0.5],
  ["a whole number", rewardOf("r", 1, 1), 1],
  ["a truth value", rewardOf("r", 1, true), 1],
  [
    "AgentOps output",
    spanOf("r", 1, 1, {
      attributes: { "agentops.entity.output": '{"type": "reward", "value": 0.25}' },
    }),
    0.25,
  ],
  [
    "AgentOps task output",
    spanOf("r", 1, 1, { attributes: { "agentops.task.output": '{"type":"reward","value":2}' } }),
    2,
  ],
  [
    "v0.2 attribute",
    spanOf("r", 1, 1, { name: "agentlightning.annotation", attributes: { reward: 0.75 } }),
    0.75,
  ],
  ["null", rewardOf("r", 1, null), null],
  ["a similar name", spanOf("r", 1, 1, { attributes: { "agentlightning.reward_x": 1 } }), null],
  [
    "AgentOps without reward",
    spanOf("r", 1, 1, { attributes: { "agentops.entity.output": "reward" } }),
    null,
  ],
] as const) {
  test(`a reward written as ${form} reads as ${reward}`, () => {
    assert.deepEqual([read(span).reward, read(span).invalid_reward], [reward, false]);
  });
}

test("a reward of NaN in Python's JSON is invalid, not absent", () => {
  const attributes = { "agentops.entity.output": '{"type": "reward", "value": NaN}' };
  const kept = read(spanOf("r", 1, 1, { attributes }));
  assert.deepEqual([kept.reward, kept.invalid_reward], [null, true]);
});

test("a dimension that is no finite number is left out and the others stay", () => {
  const kept = read(
    rewardOf("r", 1, 1, {
      attributes: {
        "agentlightning.reward.1.name": "good",
        "agentlightning.reward.1.value": 0.5,
        "agentlightning.reward.2.name": "bad",
        "agentlightning.reward.2.value": Number.POSITIVE_INFINITY,
      },
    }),
  );
  assert.deepEqual([kept.reward, kept.rewards, kept.invalid_reward], [1, { good: 0.5 }, true]);
});

for (const [attributes, name] of [
  [{ "agent.name": "a", executor_id: "b" }, "span"],
  [{ "operation.name": "a", "agentops.span.kind": "agent" }, "span"],
  [{ recipient_agent_type: "a" }, "span"],
  [{ "langchain.chain.type": "a" }, "span"],
  [{ "executor.id": "a" }, "span"],
  [{ "agentlightning.operation.input.name": "a", type: "agent" }, "span"],
  [{ lc_name: "a" }, "langchain.Chain.x"],
  [{ "gen_ai.agent.name": "a" }, "span"],
] as const) {
  test(`the agent is read from ${Object.keys(attributes)[0]}`, () => {
    assert.equal(read(spanOf("s", 1, 2, { name, attributes })).agent, "a");
  });
}
