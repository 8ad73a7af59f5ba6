import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { unpackFloat32, unpackInt32 } from "../../schemas/bytes.ts";
import type { Call, SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { callOf, fromRecorded, rewardOf, spanOf } from "./fixtures.ts";
import { readSpan } from "./read-span.ts";
import { defaultSelection } from "./selection.ts";
import { readTrace } from "./trace.ts";

const place = { partition: 0, offset: 0, timestamp: 0 };
const read = (span: SpanRecorded): SpanKept => readSpan(span, place);

function timeline(...spans: readonly SpanRecorded[]) {
  return readTrace(spans.map(read), defaultSelection);
}

function called(name: string, attributes: Readonly<Record<string, unknown>>): Call {
  const { call } = read(spanOf("s", 1, 2, { name, attributes }));
  assert.ok(call !== null, "is no call");
  return call;
}

function recorded<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`recorded/${file}`, import.meta.url), "utf8")) as T;
}

type Triplet = {
  readonly prompt: { readonly token_ids: number[]; readonly raw_content: { content?: string }[] };
  readonly response: { readonly token_ids: number[] };
  readonly reward: number | null;
  readonly metadata: { readonly response_id: string };
};

test("a recorded AgentOps trace gives the calls and rewards the reference makes of it", () => {
  const spans = recorded<Parameters<typeof fromRecorded>[0][]>("v03_live_agentops_spans.json");
  const { calls, finalReward } = timeline(...spans.map(fromRecorded));
  const triplets = recorded<Triplet[]>("v03_live_agentops_triplets.json");
  assert.deepEqual(
    calls.map(({ call, reward }) => ({
      prompt: [...unpackInt32(call.prompt_ids)],
      response: [...unpackInt32(call.response_ids)],
      reward,
      id: call.response_id,
    })),
    triplets.map(({ prompt, response, reward, metadata }) => ({
      prompt: prompt.token_ids,
      response: response.token_ids,
      reward,
      id: metadata.response_id,
    })),
  );
  assert.deepEqual([finalReward?.reward, finalReward?.rewards], [1, { fmt: 0.5 }]);
  assert.deepEqual(JSON.parse(calls[1]?.call.completion ?? ""), {
    role: "assistant",
    content: null,
    tool_calls: [
      { id: "call_1", type: "function", function: { name: "add", arguments: '{"a": 3, "b": 5}' } },
    ],
  });
  assert.equal(JSON.parse(calls[1]?.call.tools ?? "")[0].function.parameters.type, "object");
  assert.equal(JSON.parse(calls[2]?.call.messages ?? "")[1].tool_calls[0].function.name, "add");
});

test("a proxy span with a JSON list of messages is read whole", () => {
  const call = called("chat policy", {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "asked",
    "gen_ai.response.model": "policy",
    "gen_ai.response.id": "c-1",
    "gen_ai.input.messages": JSON.stringify([{ role: "user", content: "hi" }]),
    "gen_ai.output.messages": JSON.stringify([{ role: "assistant", content: "ho" }]),
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 9,
    "lightning.policy.version": 4,
    prompt_token_ids: [1, 2],
    response_token_ids: [3, 4],
    logprobs: [-0.5, -0.25],
  });
  assert.deepEqual(JSON.parse(call.messages), [{ content: "hi", role: "user" }]);
  assert.deepEqual(JSON.parse(call.completion), { content: "ho", role: "assistant" });
  assert.deepEqual([...unpackFloat32(call.logprobs)], [-0.5, -0.25]);
  assert.deepEqual([call.policy_version, call.model, call.response_id], [4, "policy", "c-1"]);
  assert.deepEqual([call.prompt_tokens, call.completion_tokens], [9, 2]);
  assert.equal(call.finish_reason, "stop");
});

test("OpenTelemetry GenAI parts become OpenAI messages", () => {
  const call = called("chat m", {
    "gen_ai.operation.name": "chat",
    "gen_ai.system_instructions": JSON.stringify([{ type: "text", content: "be brief" }]),
    "gen_ai.input.messages": JSON.stringify([
      { role: "user", parts: [{ type: "text", content: "hi" }] },
      {
        role: "assistant",
        parts: [{ type: "tool_call", id: "1", name: "f", arguments: { a: 1 } }],
      },
      { role: "tool", parts: [{ type: "tool_call_response", id: "1", response: "8" }] },
    ]),
    "gen_ai.output.messages": JSON.stringify([
      { role: "assistant", parts: [{ type: "text", content: "8" }], finish_reason: "stop" },
    ]),
  });
  assert.deepEqual(JSON.parse(call.messages), [
    { role: "system", content: "be brief" },
    { role: "user", content: "hi" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: '{"a":1}' } }],
    },
    { role: "tool", content: "8", tool_call_id: "1" },
  ]);
  assert.deepEqual(JSON.parse(call.completion), { role: "assistant", content: "8" });
});

test("a Weave span is read from the operation's inputs and outputs", () => {
  const output = "agentlightning.operation.output";
  const call = called("openai.chat.completions.create", {
    [`${output}.id`]: "w-1",
    [`${output}.prompt_token_ids`]: [1],
    [`${output}.choices.0.token_ids`]: [2, 3],
    [`${output}.choices.0.message.content`]: "ho",
    "agentlightning.operation.input.messages.0.role": "user",
    "agentlightning.operation.input.messages.0.content": "hi",
  });
  assert.equal(call.response_id, "w-1");
  assert.deepEqual([...unpackInt32(call.response_ids)], [2, 3]);
  assert.deepEqual(JSON.parse(call.messages), [{ role: "user", content: "hi" }]);
  assert.deepEqual(JSON.parse(call.completion), { role: "assistant", content: "ho" });
});

test("messages keep their numeric order and image parts stay parts", () => {
  const parts = [{ type: "image_url", image_url: { url: "data:x" } }];
  const call = called("openai.chat.completion", {
    "gen_ai.prompt.10.content": "last",
    "gen_ai.prompt.2.content": JSON.stringify(parts),
    "gen_ai.prompt.prompt_filter_results": "[]",
  });
  const messages = JSON.parse(call.messages);
  assert.deepEqual(
    messages.map((message: { content: unknown }) => message.content),
    [parts, "last"],
  );
});

test("log-probs that do not fit the tokens are not used", () => {
  const ids = { response_token_ids: [1, 2] };
  assert.equal(called("openai.chat.completion", { ...ids, logprobs: [-0.5] }).logprobs.length, 0);
  const gap = JSON.stringify([{ logprob: -1.5 }, { logprob: null }]);
  assert.equal(
    called("openai.chat.completion", { ...ids, "logprobs.content": gap }).logprobs.length,
    0,
  );
});

test("an embedding and a tool are no calls", () => {
  const embedding = spanOf("s", 1, 2, { attributes: { "gen_ai.operation.name": "embeddings" } });
  const tool = spanOf("s", 1, 2, {
    attributes: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f" },
  });
  assert.deepEqual(
    [embedding, tool].map((span) => read(span).call),
    [null, null],
  );
});

test("a call belongs to the nearest agent above it, not to itself", () => {
  const { calls } = timeline(
    spanOf("outer", 0, 9, { attributes: { "agent.name": "outer" } }),
    spanOf("inner", 0, 9, { parent_id: "outer", attributes: { "agent.name": "inner" } }),
    callOf("a", 1, 2, { parent_id: "inner", attributes: { "agent.name": "self" } }),
    callOf("b", 3, 4, { parent_id: "outer" }),
    callOf("c", 5, 6, { parent_id: "missing" }),
    callOf("d", 10, 11, { parent_id: "missing too" }),
  );
  // Of c it is known only that it was made while `outer` ran.
  assert.deepEqual(
    calls.map((call) => call.agent),
    ["inner", "outer", "outer", ""],
  );
});

test("a call seen twice is one call, the one that knows the tokens, with the agent of either", () => {
  const same = { "gen_ai.response.id": "same" };
  const { calls } = timeline(
    spanOf("agent", 0, 9, { attributes: { "agent.name": "a" } }),
    spanOf("client", 1, 2, {
      name: "openai.chat.completion",
      parent_id: "agent",
      attributes: same,
    }),
    callOf("proxy", 1.1, 1.9, { attributes: same }),
  );
  assert.deepEqual(
    calls.map(({ span, agent }) => [span.span_id, agent]),
    [["proxy", "a"]],
  );
});

test("a call without an id inside another call is that call, beside it it counts", () => {
  const attributes = { "gen_ai.completion.0.content": "yes" };
  const bare = { name: "openai.chat.completion", attributes };
  const { calls } = timeline(
    callOf("a", 1, 4),
    spanOf("nested", 2, 3, { ...bare, parent_id: "a" }),
    spanOf("beside", 5, 6, bare),
    spanOf("beside2", 7, 8, bare),
  );
  assert.deepEqual(
    calls.map(({ span }) => span.span_id),
    ["a", "beside", "beside2"],
  );
});

test("a reward goes to the latest call that was done and has none, a second one back to the call before", () => {
  const { calls } = timeline(
    callOf("a", 1, 2),
    callOf("b", 3, 4),
    callOf("running", 4, 9),
    rewardOf("r1", 5, 0.1),
    rewardOf("r2", 6, 0.2),
    rewardOf("none left", 7, 0.3),
  );
  assert.deepEqual(
    calls.map(({ reward }) => reward),
    [0.2, 0.1, null],
  );
});

test("parents in a circle lose no call", () => {
  const { calls } = timeline(
    callOf("a", 1, 2, { parent_id: "b" }),
    callOf("b", 3, 4, { parent_id: "a" }),
  );
  assert.equal(calls.length, 2);
});
