import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { unpackFloat32, unpackInt32 } from "../../schemas/bytes.ts";
import type { Call, Choice, SpanEvent } from "../../schemas/types.ts";
import { attributesOf, calledOf, fromRecorded, keptOf, type RecordedSpan } from "./fixtures.ts";
import { readSpan } from "./read-span.ts";

type Values = Readonly<Record<string, unknown>>;

function eventOf(name: string, attributes: Values): SpanEvent {
  return { name, time: 0, nanos: 0, attributes: attributesOf(attributes), dropped_attributes: 0 };
}

function said(call: Choice): {
  text: unknown;
  ids: number[];
  logprobs: number[];
  why: string | null;
} {
  return {
    text: JSON.parse(call.completion).content,
    ids: [...unpackInt32(call.response_ids)],
    logprobs: [...unpackFloat32(call.logprobs)],
    why: call.finish_reason,
  };
}

const messagesOf = (call: Call): unknown => JSON.parse(call.messages);
const ids = (packed: Uint8Array): number[] => [...unpackInt32(packed)];

const threeChoices = [
  { text: "one", ids: [1], logprobs: [-0.5], why: "stop" },
  { text: "two", ids: [2, 3], logprobs: [-0.25, -1], why: "length" },
  { text: "three", ids: [4], logprobs: [-2], why: "stop" },
];

const openAiChoices = threeChoices.map(({ text, ids: token_ids, logprobs, why }, index) => ({
  index,
  message: { role: "assistant", content: text },
  finish_reason: why,
  token_ids,
  logprobs: { content: logprobs.map((logprob) => ({ token: "t", logprob })) },
}));

const openAiResponse = {
  id: "chatcmpl-3",
  model: "served",
  choices: openAiChoices,
  usage: { prompt_tokens: 7, completion_tokens: 4 },
  prompt_token_ids: [8, 9],
};

const openAiRequest = {
  model: "asked",
  messages: [{ role: "user", content: "hi" }],
  temperature: 0.5,
  top_p: 0.75,
  n: 3,
};

/** How Python prints it. */
const literal = (value: unknown): string => JSON.stringify(value).replaceAll('"', "'");

/** Taken apart into dotted names, as the reference's emitters do; lists of numbers stay whole. */
function spread(prefix: string, value: unknown): [string, unknown][] {
  const whole = Array.isArray(value) && value.every((item) => typeof item === "number");
  if (typeof value !== "object" || value === null || whole) return [[prefix, value]];
  return Object.entries(value).flatMap(([name, item]) => spread(`${prefix}.${name}`, item));
}

const indexed = [0, 1, 2].map((i) => (i === 0 ? "" : `.${i}`));

for (const [by, name, attributes] of [
  [
    "our proxy",
    "chat policy",
    {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "asked",
      "gen_ai.response.model": "served",
      "gen_ai.response.id": "chatcmpl-3",
      "gen_ai.request.temperature": 0.5,
      "gen_ai.request.top_p": 0.75,
      "gen_ai.input.messages": openAiRequest.messages,
      "gen_ai.output.messages": openAiChoices.map(({ message }) => message),
      "gen_ai.response.finish_reasons": openAiChoices.map((choice) => choice.finish_reason),
      "gen_ai.usage.input_tokens": 7,
      "gen_ai.usage.output_tokens": 4,
      prompt_token_ids: [8, 9],
      ...Object.fromEntries(
        threeChoices.flatMap((choice, i) => [
          [`response_token_ids${indexed[i]}`, choice.ids],
          [`logprobs${indexed[i]}`, choice.logprobs],
        ]),
      ),
    },
  ],
  [
    "LiteLLM's raw request",
    "raw_gen_ai_request",
    {
      "llm.hosted_vllm.messages": literal(openAiRequest.messages),
      "llm.hosted_vllm.temperature": 0.5,
      "llm.hosted_vllm.top_p": 0.75,
      "llm.hosted_vllm.id": "chatcmpl-3",
      "llm.hosted_vllm.model": "served",
      "llm.hosted_vllm.choices": literal(openAiChoices),
      "llm.hosted_vllm.usage": literal(openAiResponse.usage),
      "llm.hosted_vllm.prompt_token_ids": literal([8, 9]),
    },
  ],
  [
    "Weave",
    "openai.chat.completions.create",
    Object.fromEntries([
      ...spread("agentlightning.operation.input", openAiRequest),
      ...spread("agentlightning.operation.output", openAiResponse),
    ]),
  ],
  [
    "Agent Lightning 1.0",
    "model_request",
    {
      model: "m",
      request: openAiRequest,
      response: openAiResponse,
      http_status: 200,
      status: "ok",
    },
  ],
  [
    "OpenInference with its bodies",
    "ChatCompletion",
    {
      "openinference.span.kind": "LLM",
      "llm.model_name": "served",
      "llm.invocation_parameters": JSON.stringify({ temperature: 0.5, top_p: 0.75 }),
      "input.value": JSON.stringify(openAiRequest),
      "output.value": JSON.stringify(openAiResponse),
    },
  ],
] as const) {
  test(`three choices of ${by} are three, each with its tokens and log-probs`, () => {
    const call = calledOf(name, attributes);
    assert.deepEqual([call, ...call.choices].map(said), threeChoices);
    assert.deepEqual(messagesOf(call), openAiRequest.messages);
    assert.deepEqual(ids(call.prompt_ids), [8, 9]);
    assert.deepEqual([call.response_id, call.model, call.error], ["chatcmpl-3", "served", null]);
    assert.deepEqual([call.prompt_tokens, call.completion_tokens], [7, 4]);
    assert.deepEqual([call.temperature, call.top_p], [0.5, 0.75]);
  });
}

test("a choice whose tokens are missing keeps the place of the others", () => {
  const call = calledOf("openai.chat.completion", {
    "gen_ai.completion.0.content": "a",
    "gen_ai.completion.0.finish_reason": "stop",
    "gen_ai.completion.1.content": "b",
    "gen_ai.completion.2.content": "c",
    response_token_ids: [1],
    "response_token_ids.2": [3],
  });
  const read = [call, ...call.choices].map(said);
  assert.deepEqual(
    read.map((choice) => [choice.text, choice.ids, choice.why]),
    [
      ["a", [1], "stop"],
      ["b", [], null],
      ["c", [3], null],
    ],
  );
});

test("the recorded proxy trace gives the calls the reference finds, seen from both of its spans", () => {
  const read = (file: string): unknown =>
    JSON.parse(readFileSync(new URL(`recorded/${file}`, import.meta.url), "utf8"));
  const spans = (read("v03_live_llmproxy_spans.json") as RecordedSpan[]).map(fromRecorded);
  const kept = spans.map((span) => readSpan(span, { partition: 0, offset: 0, timestamp: 0 }));
  const calls = kept.flatMap(({ call, name }) => (call === null ? [] : [{ call, name }]));
  const raw = calls.filter(({ name }) => name === "raw_gen_ai_request").map(({ call }) => call);
  const triplets = read("v03_live_llmproxy_triplets.json") as {
    prompt: { token_ids: number[] };
    response: { token_ids: number[] };
    metadata: { response_id: string };
  }[];
  assert.deepEqual(
    raw.map((call) => [ids(call.prompt_ids), ids(call.response_ids), call.response_id]),
    triplets.map((each) => [
      each.prompt.token_ids,
      each.response.token_ids,
      each.metadata.response_id,
    ]),
  );
  const asked = calls.filter(({ name }) => name === "litellm_request").map(({ call }) => call);
  assert.equal(calls.length, raw.length + asked.length);
  assert.deepEqual(
    asked.map((call) => [call.response_id, call.messages, call.completion]),
    raw.map((call) => [call.response_id, '[{"role":"user","content":"hi"}]', call.completion]),
  );
});

test("OpenInference messages have their tools, tool calls, answers and images", () => {
  const message = "llm.input_messages";
  const call = calledOf("ChatCompletion", {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 12,
    "llm.token_count.completion": 5,
    [`${message}.0.message.role`]: "user",
    [`${message}.0.message.contents.0.message_content.type`]: "text",
    [`${message}.0.message.contents.0.message_content.text`]: "what is this?",
    [`${message}.0.message.contents.1.message_content.type`]: "image",
    [`${message}.0.message.contents.1.message_content.image.image.url`]: "https://x/y.png",
    [`${message}.1.message.role`]: "assistant",
    [`${message}.1.message.tool_calls.0.tool_call.id`]: "c1",
    [`${message}.1.message.tool_calls.0.tool_call.function.name`]: "look",
    [`${message}.1.message.tool_calls.0.tool_call.function.arguments`]: '{"at":1}',
    [`${message}.2.message.role`]: "tool",
    [`${message}.2.message.content`]: "a cat",
    [`${message}.2.message.tool_call_id`]: "c1",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "A cat.",
    "llm.tools.0.tool.json_schema": '{"type":"function","function":{"name":"look"}}',
  });
  const look = { id: "c1", type: "function", function: { name: "look", arguments: '{"at":1}' } };
  assert.deepEqual(messagesOf(call), [
    {
      role: "user",
      content: [
        { type: "text", text: "what is this?" },
        { type: "image_url", image_url: { url: "https://x/y.png" } },
      ],
    },
    { role: "assistant", content: null, tool_calls: [look] },
    { role: "tool", content: "a cat", tool_call_id: "c1" },
  ]);
  assert.deepEqual(JSON.parse(call.completion), { role: "assistant", content: "A cat." });
  assert.deepEqual(JSON.parse(call.tools ?? ""), [
    { type: "function", function: { name: "look" } },
  ]);
  assert.deepEqual([call.model, call.prompt_tokens, call.completion_tokens], ["gpt-4o", 12, 5]);
});

test("OpenInference spans of another kind and Vercel's outer spans are no calls", () => {
  for (const kind of ["AGENT", "TOOL", "CHAIN", "EMBEDDING"]) {
    assert.equal(
      keptOf("x", { "openinference.span.kind": kind, "llm.model_name": "m" }).call,
      null,
    );
  }
  const outer = { "ai.model.id": "m", "ai.response.text": "hi", "ai.prompt": "{}" };
  for (const name of ["ai.generateText", "ai.streamText", "ai.toolCall", "ai.embed.doEmbed"]) {
    assert.equal(keptOf(name, { ...outer, "ai.operationId": name }).call, null);
  }
});

test("events of the GenAI conventions are read as attributes are", () => {
  const called = (events: SpanEvent[]): Call =>
    calledOf("chat m", { "gen_ai.operation.name": "chat" }, { events });
  const details = called([
    eventOf("gen_ai.client.inference.operation.details", {
      "gen_ai.input.messages": JSON.stringify([
        { role: "user", parts: [{ type: "text", content: "hi" }] },
      ]),
      "gen_ai.output.messages": JSON.stringify([
        { role: "assistant", parts: [{ type: "text", content: "ho" }], finish_reason: "stop" },
      ]),
    }),
  ]);
  const older = called([
    eventOf("gen_ai.user.message", { content: "hi" }),
    eventOf("gen_ai.choice", {
      index: 0,
      finish_reason: "stop",
      message: JSON.stringify({ role: "assistant", content: "ho" }),
    }),
  ]);
  for (const call of [details, older]) {
    assert.deepEqual(messagesOf(call), [{ role: "user", content: "hi" }]);
    assert.deepEqual(said(call), { text: "ho", ids: [], logprobs: [], why: "stop" });
  }
});
