import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "../../schemas/types.ts";
import { attributesOf, calledOf, keptOf } from "./fixtures.ts";

const messagesOf = (call: Call): unknown => JSON.parse(call.messages);
const chat = { "gen_ai.operation.name": "chat" };
const toolCall = (id: string, name: string, given: string): unknown => ({
  id,
  type: "function",
  function: { name, arguments: given },
});

test("a Vercel step is read with its parts, its tools and what it generated", () => {
  const call = calledOf("ai.generateText.doGenerate", {
    "ai.operationId": "ai.generateText.doGenerate",
    "operation.name": "ai.generateText.doGenerate weather",
    "ai.model.id": "gpt-4o",
    "ai.settings.temperature": 0.5,
    "ai.prompt.messages": JSON.stringify([
      { role: "system", content: "be brief" },
      {
        role: "user",
        content: [
          { type: "text", text: "where?" },
          { type: "file", mediaType: "image/png", data: "iVBORw0=" },
        ],
      },
      {
        role: "assistant",
        content: [{ type: "tool-call", toolCallId: "c1", toolName: "at", input: { x: 1 } }],
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "c1",
            toolName: "at",
            output: { type: "text", value: "Rome" },
          },
        ],
      },
      { role: "user", content: [{ type: "text", text: "and now?" }] },
    ]),
    "ai.prompt.tools": [
      '{"type":"function","name":"at","description":"d","inputSchema":{"type":"object"}}',
    ],
    "ai.response.id": "r1",
    "ai.response.model": "gpt-4o-2024",
    "ai.response.text": "",
    "ai.response.reasoning": "hm",
    "ai.response.toolCalls": JSON.stringify([
      { toolCallId: "c2", toolName: "at", input: '{"x":2}' },
    ]),
    "ai.response.finishReason": "tool-calls",
    "ai.usage.promptTokens": 10,
    "ai.usage.completionTokens": 4,
  });
  assert.deepEqual(messagesOf(call), [
    { role: "system", content: "be brief" },
    {
      role: "user",
      content: [
        { type: "text", text: "where?" },
        { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0=" } },
      ],
    },
    { role: "assistant", content: null, tool_calls: [toolCall("c1", "at", '{"x":1}')] },
    { role: "tool", content: "Rome", tool_call_id: "c1" },
    { role: "user", content: "and now?" },
  ]);
  assert.deepEqual(JSON.parse(call.completion), {
    role: "assistant",
    content: null,
    reasoning_content: "hm",
    tool_calls: [toolCall("c2", "at", '{"x":2}')],
  });
  assert.deepEqual(JSON.parse(call.tools ?? "")[0].function.parameters, { type: "object" });
  assert.deepEqual(
    [call.response_id, call.model, call.finish_reason, call.temperature],
    ["r1", "gpt-4o-2024", "tool-calls", 0.5],
  );
  assert.deepEqual([call.prompt_tokens, call.completion_tokens], [10, 4]);
});

test("Vercel's streamed text and generated objects are the completion", () => {
  const streamed = calledOf("ai.streamText.doStream", { "ai.response.text": "hi" });
  const object = calledOf("ai.generateObject.doGenerate", { "ai.response.object": '{"a":1}' });
  assert.equal(JSON.parse(streamed.completion).content, "hi");
  assert.equal(JSON.parse(object.completion).content, '{"a":1}');
});

test("OpenTelemetry's images are image parts, other files and unknown parts stay as they are", () => {
  const odd = { type: "hologram", shape: "cube" };
  const pdf = { type: "uri", modality: "document", uri: "https://x/y.pdf" };
  const call = calledOf("chat m", {
    ...chat,
    "gen_ai.input.messages": JSON.stringify([
      {
        role: "user",
        parts: [
          { type: "uri", modality: "image", uri: "https://x/y.png" },
          { type: "blob", modality: "image", mime_type: "image/png", content: "AA==" },
          pdf,
          odd,
        ],
      },
    ]),
  });
  assert.deepEqual(messagesOf(call), [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: "https://x/y.png" } },
        { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
        pdf,
        odd,
      ],
    },
  ]);
});

test("content parts of another dialect are OpenAI's also in indexed attributes", () => {
  const parts = [{ type: "tool_result", tool_use_id: "t1", content: "8" }];
  const call = calledOf("anthropic.chat", {
    "llm.request.type": "chat",
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": JSON.stringify(parts),
  });
  assert.deepEqual(messagesOf(call), [{ role: "tool", content: "8", tool_call_id: "t1" }]);
});

test("OpenAI's own messages are kept to the letter", () => {
  const messages = [
    { role: "developer", content: [{ type: "text", text: "a" }], name: "n" },
    { role: "user", content: [{ type: "file", file: { file_id: "f" } }] },
    { role: "assistant", content: null, tool_calls: [toolCall("c", "f", "{}")], refusal: null },
  ];
  const call = calledOf("chat m", { ...chat, "gen_ai.input.messages": messages });
  assert.deepEqual(messagesOf(call), messages);
});

test("what a convention says itself goes before the names all of them share", () => {
  const call = calledOf("ai.streamText.doStream", {
    "ai.prompt.messages": '[{"role":"user","content":[{"type":"text","text":"own"}]}]',
    "gen_ai.prompt.0.content": "shared",
    "ai.response.text": "own",
    "gen_ai.completion.0.content": "shared",
    "gen_ai.request.top_p": 0.5,
  });
  assert.deepEqual(messagesOf(call), [{ role: "user", content: "own" }]);
  assert.deepEqual(JSON.parse(call.completion), { role: "assistant", content: "own" });
  assert.equal(call.top_p, 0.5);
});

test("who generated is the assistant, also where nobody says so", () => {
  const call = calledOf("openai.chat.completion", { "gen_ai.completion.0.content": "hi" });
  assert.equal(JSON.parse(call.completion).role, "assistant");
});

const error = { status_code: "ERROR" } as const;
const thrown = {
  name: "exception",
  time: 0,
  nanos: 0,
  attributes: attributesOf({ "exception.message": "timed out" }),
  dropped_attributes: 0,
};

test("a call that failed says why, and one that generated something did not fail", () => {
  const name = "openai.chat.completion";
  assert.equal(calledOf(name, {}, { ...error, status_message: "429" }).error, "429");
  assert.equal(calledOf(name, {}, { ...error, events: [thrown] }).error, "timed out");
  assert.equal(calledOf(name, { "error.type": "Timeout" }, error).error, "Timeout");
  assert.equal(calledOf(name, {}, error).error, "the span ended with status ERROR");
  assert.equal(calledOf(name, { response_token_ids: [1] }, error).error, null);
  assert.equal(calledOf(name, {}).error, null);
  const refused = { http_status: 429, status: "error", response: { error: { message: "slow" } } };
  assert.equal(calledOf("model_request", refused).error, "slow");
  assert.equal(
    calledOf("model_request", { http_status: 500, status: "error", response: {} }).error,
    "the engine answered with HTTP status 500",
  );
});

test("the state a call acted in, its potential and its policy version are read from its span", () => {
  const call = calledOf("openai.chat.completion", {
    "lightning.state.id": "room-7",
    "lightning.state.potential": 0.5,
    "lightning.policy.version": 3,
  });
  assert.deepEqual([call.state_id, call.potential, call.policy_version], ["room-7", 0.5, 3]);
  const none = calledOf("openai.chat.completion", { "lightning.state.potential": "high" });
  assert.deepEqual([none.state_id, none.potential, none.policy_version], [null, null, null]);
});

test("an agent that only stamps token ids made a call", () => {
  const ids = { prompt_token_ids: [1], response_token_ids: [2] };
  assert.equal(calledOf("my own llm", ids).response_ids.length, 4);
  assert.equal(keptOf("my own llm", { prompt_token_ids: [1] }).call, null);
});
