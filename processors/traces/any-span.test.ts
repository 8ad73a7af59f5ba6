import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SpanKept } from "../../schemas/types.ts";
import { readAgent } from "./agents.ts";
import { readCall } from "./calls.ts";
import { attributesOf, spanOf } from "./fixtures.ts";
import { readLinks } from "./links.ts";
import { readSpan } from "./read-span.ts";
import { readReward } from "./rewards.ts";
import { readTool } from "./tools.ts";

const place = { partition: 0, offset: 0, timestamp: 0 };

/** Beginnings of names some row reads. */
const beginnings = [
  "gen_ai.prompt",
  "gen_ai.completion",
  "gen_ai.input.messages",
  "gen_ai.output.messages",
  "gen_ai.system_instructions",
  "gen_ai.tool.definitions",
  "gen_ai.request.functions",
  "gen_ai.response.finish_reasons",
  "gen_ai.response.id",
  "gen_ai.usage.input_tokens",
  "llm.input_messages",
  "llm.output_messages",
  "llm.tools",
  "llm.invocation_parameters",
  "llm.hosted_vllm.choices",
  "llm.hosted_vllm.messages",
  "llm.hosted_vllm.response_token_ids",
  "llm.openai.input",
  "llm.openai.output",
  "llm.openai.instructions",
  "input.value",
  "output.value",
  "ai.prompt.messages",
  "ai.prompt.tools",
  "ai.response.toolCalls",
  "ai.response.text",
  "agentlightning.operation.input",
  "agentlightning.operation.output",
  "agentlightning.reward",
  "agentlightning.link",
  "agentops.task.output",
  "prompt_token_ids",
  "response_token_ids",
  "logprobs",
  "request",
  "response",
  "message",
  "content",
  "tool_calls",
  "value",
  "tool.name",
  "tool.parameters",
  "agent.name",
  "agentops.entity.output",
  "ai.operationId",
  "reward",
  "lightning.state.id",
];
const ends = ["", "", ".0", ".1", ".0.role", ".0.content", ".0.message.content", ".0.tool_calls"];
const further = [".0.tool_calls.0.name", ".0.name", ".0.value", ".choices", ".messages", ".x", "."];

const name = fc
  .tuple(fc.constantFrom(...beginnings), fc.constantFrom(...ends, ...further))
  .map(([beginning, end]) => beginning + end);

const kinds = ["LLM", "TOOL", "chat", "tool_call", "tool-result", "image", "file", "uri", "text"];
const items = [
  "response",
  "reasoning",
  "function_call",
  "function_call_output",
  "x_call",
  "assistant",
];
const leaf = fc.oneof(
  fc.constantFrom(...kinds, ...items, "__proto__", "[1", "{'a': (1,)}"),
  fc.jsonValue(),
);

/** Values shaped like what the rows expect, with anything inside. */
const shaped: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        ...["type", "role", "content", "parts", "message", "choices", "tool_calls", "function"],
        ...["name", "id", "token_ids", "logprobs", "logprob", "text", "source", "usage", "error"],
        ...["delta", "output", "value", "image", "input", "data", "tool", "json_schema", "system"],
        ...["object", "instructions", "previous_response_id", "summary", "call_id", "arguments"],
        ...["output_messages", "tokens", "incomplete_details", "status", "response"],
      ),
      tie("value"),
      { maxKeys: 5 },
    ),
  ),
})).value;

const value = fc.oneof(
  shaped,
  shaped.map((any) => JSON.stringify(any)),
  fc.array(fc.integer({ min: -3, max: 9 }), { maxLength: 4 }),
  fc.array(fc.double(), { maxLength: 4 }),
  fc.double(),
  fc.boolean(),
);

const spanName = fc.constantFrom(
  ...["openai.chat.completion", "raw_gen_ai_request", "litellm_request", "model_request", "reward"],
  ...["ai.generateText.doGenerate", "agentlightning.annotation", "agentlightning.operation", "x"],
);
const markers = fc.record(
  {
    "openinference.span.kind": fc.constantFrom("LLM", "TOOL", "AGENT"),
    "gen_ai.operation.name": fc.constantFrom("chat", "execute_tool"),
    "agentlightning.operation.output.object": fc.constantFrom("chat.completion", "response"),
    "llm.openai.object": fc.constant("response"),
  },
  { requiredKeys: [] },
);
const attributes = fc.tuple(markers, fc.dictionary(name, value, { maxKeys: 12 }));
const eventName = fc.constantFrom(
  ...["gen_ai.user.message", "gen_ai.tool.message", "gen_ai.choice", "gen_ai.content.prompt"],
  ...["gen_ai.client.inference.operation.details", "exception"],
);
const event = fc.tuple(eventName, fc.dictionary(name, value, { maxKeys: 4 }));

const anySpan = fc
  .tuple(spanName, attributes, fc.array(event, { maxLength: 3 }), fc.constantFrom("OK", "ERROR"))
  .map(([span_name, [marks, others], events, status_code]) => ({
    name: span_name,
    status_code,
    attributes: { ...others, ...marks },
    events: events.map(([event_name, given]) => ({
      name: event_name,
      time: 0,
      nanos: 0,
      attributes: attributesOf(given),
      dropped_attributes: 0,
    })),
  }));

const read = (fields: Parameters<typeof spanOf>[3]): SpanKept =>
  readSpan(spanOf("s", 1, 2, fields), place);

test("no span is too odd to be read, and the order of its attributes says nothing", () => {
  let calls = 0;
  fc.assert(
    fc.property(anySpan, (fields) => {
      const kept = read(fields);
      if (kept.call !== null) calls++;
      const backwards = Object.fromEntries(Object.entries(fields.attributes).reverse());
      assert.deepEqual(read({ ...fields, attributes: backwards }), kept);
      for (const text of [
        kept.call?.messages,
        kept.call?.completion,
        kept.call?.tools,
        kept.tool,
      ]) {
        if (typeof text === "string") JSON.parse(text);
      }
      assert.equal((kept.call?.response_ids.length ?? 0) % 4, 0);
    }),
    { numRuns: 2000 },
  );
  assert.ok(calls > 500, `only ${calls} of the spans were calls`);
});

test("no reader finds what the names of a span do not hint at", () => {
  fc.assert(
    fc.property(anySpan, (fields) => {
      const span = spanOf("s", 1, 2, fields);
      const { call, tool, agent, links, ...kept } = readSpan(span, place);
      const found = [readCall(span), readTool(span), readAgent(span), readLinks(span)];
      assert.deepEqual([call, tool, agent, links], found);
      const { reward, reward_name: name, rewards, invalid_reward: invalid } = kept;
      assert.deepEqual({ reward, name, rewards, invalid }, readReward(span));
    }),
    { numRuns: 1000 },
  );
});

test("reading takes time that grows with the attributes", () => {
  const many = (prefix: string, of: (i: number) => string, value: unknown): [string, unknown][] =>
    Array.from({ length: 50_000 }, (_, i) => [`${prefix}.${of(i)}`, value]);
  for (const entries of [
    many("gen_ai.prompt", (i) => `${i}.content`, "hello"),
    many("gen_ai.prompt", (i) => `${i * 20_000}.content`, "hello"),
    many("gen_ai.completion", (i) => `${i}.content`, "hello"),
    many("response_token_ids", (i) => `${i}`, [1, 2]),
    many("agentlightning.reward", (i) => `${i}.value`, 1),
    many("agentlightning.link", (i) => `${i}.key_match`, "x"),
    many("gen_ai.prompt.0", (i) => `tool_calls.${i}.name`, "x"),
    [["gen_ai.prompt.0".repeat(20_000), "x"]] as [string, unknown][],
    [[`gen_ai.prompt${".a".repeat(200_000)}`, "x"]] as [string, unknown][],
  ]) {
    const span = spanOf("s", 1, 2, {
      name: "openai.chat.completion",
      attributes: Object.fromEntries(entries),
    });
    const started = performance.now();
    readSpan(span, place);
    const took = performance.now() - started;
    assert.ok(took < 2000, `${entries[0]?.[0].slice(0, 30)} took ${took} ms`);
  }
});
