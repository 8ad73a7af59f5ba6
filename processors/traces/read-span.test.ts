import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { attributesOf, rewardOf, spanOf } from "./fixtures.ts";
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
  [
    "AgentOps nested output",
    spanOf("r", 1, 1, { attributes: { "agentops.task.output": { type: "reward", value: 3 } } }),
    3,
  ],
  [
    "0.1 and 0.2 emitted it",
    spanOf("r", 1, 1, { name: "agentlightning.reward", attributes: { reward: 0.125 } }),
    0.125,
  ],
  ["1.0 event", spanOf("r", 1, 1, { name: "reward", attributes: { value: 0.375 } }), 0.375],
  ["1.0 truth value", spanOf("r", 1, 1, { name: "reward", attributes: { value: true } }), null],
  [
    "a bare attribute of another span",
    spanOf("r", 1, 1, { name: "step", attributes: { reward: 1, value: 1 } }),
    null,
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
  [{ "graph.node.id": "a", "openinference.span.kind": "AGENT" }, "span"],
  [{ "traceloop.entity.name": "a", "traceloop.span.kind": "agent" }, "span"],
] as const) {
  test(`the agent is read from ${Object.keys(attributes)[0]}`, () => {
    assert.equal(read(spanOf("s", 1, 2, { name, attributes })).agent, "a");
  });
}

test("a name that means an agent on some spans only is none on the others", () => {
  for (const attributes of [
    { "operation.name": "a", "agentops.span.kind": "session" },
    { "agentlightning.operation.input.name": "a", type: "tool" },
    { "graph.node.id": "a", "openinference.span.kind": "CHAIN" },
    { "traceloop.entity.name": "a", "traceloop.span.kind": "task" },
    { lc_name: "a" },
  ]) {
    assert.equal(read(spanOf("s", 1, 2, { attributes })).agent, null);
  }
});

for (const [by, attributes] of [
  ["AgentOps", { "tool.name": "f", "tool.parameters": '{"a":1}', "tool.call.id": "c" }],
  [
    "OpenTelemetry",
    {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "f",
      "gen_ai.tool.call.arguments": { a: 1 },
      "gen_ai.tool.call.id": "c",
    },
  ],
  [
    "OpenInference",
    {
      "openinference.span.kind": "TOOL",
      "tool.name": "f",
      "tool.parameters": '{"type":"object"}',
      "input.value": '{"a":1}',
      "tool_call.id": "c",
    },
  ],
  ["Vercel", { "ai.toolCall.name": "f", "ai.toolCall.args": '{"a":1}', "ai.toolCall.id": "c" }],
] as const) {
  test(`a tool call is read as ${by} writes it`, () => {
    const kept = read(spanOf("s", 1, 2, { attributes }));
    assert.deepEqual(JSON.parse(kept.tool ?? "null"), {
      id: "c",
      type: "function",
      function: { name: "f", arguments: '{"a":1}' },
    });
    assert.equal(kept.call, null);
  });
}

test("a tool call of OpenLLMetry has the id of its span, a task of it is none", () => {
  const named = { "traceloop.entity.name": "f", "traceloop.entity.input": "{}" };
  const tool = spanOf("s", 1, 2, { attributes: { ...named, "traceloop.span.kind": "tool" } });
  const task = spanOf("s", 1, 2, { attributes: { ...named, "traceloop.span.kind": "task" } });
  assert.equal(JSON.parse(read(tool).tool ?? "null").id, "s");
  assert.equal(read(task).tool, null);
});

test("links are kept with both their halves, in the order of their numbers", () => {
  const attributes = {
    "agentlightning.link.10.key_match": "trace_id",
    "agentlightning.link.10.value_match": "t",
    "agentlightning.link.2.key_match": "gen_ai.response.id",
    "agentlightning.link.2.value_match": "c-1",
    "agentlightning.link.3.key_match": "half",
    "agentlightning.link.4.key_match": "number",
    "agentlightning.link.4.value_match": 1,
  };
  assert.deepEqual(read(spanOf("s", 1, 2, { attributes })).links, [
    { key: "gen_ai.response.id", value: "c-1" },
    { key: "trace_id", value: "t" },
  ]);
});

test("the clock is the host's, else the process's, else nobody's", () => {
  const clock = (resource: Readonly<Record<string, string>>): string =>
    read(spanOf("s", 1, 2, { resource: attributesOf(resource) })).clock;
  const instance = { "service.instance.id": "i" };
  assert.equal(clock({ ...instance, "host.name": "n", "host.id": "h" }), "h");
  assert.equal(clock({ ...instance, "host.name": "n" }), "n");
  assert.equal(clock(instance), "i");
  assert.equal(clock({ "service.name": "s" }), "");
});
