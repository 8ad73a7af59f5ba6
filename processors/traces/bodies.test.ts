import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "../../schemas/types.ts";
import { calledOf } from "./fixtures.ts";

const messagesOf = (call: Call): unknown => JSON.parse(call.messages);
const toolCall = (id: string, name: string, given: string): unknown => ({
  id,
  type: "function",
  function: { name, arguments: given },
});

test("Anthropic bodies have their system prompt, tool use, results and images as OpenAI has them", () => {
  const call = calledOf("raw_gen_ai_request", {
    "llm.anthropic.system": "be brief",
    "llm.anthropic.messages": JSON.stringify([
      {
        role: "user",
        content: [
          { type: "image", source: { type: "base64", media_type: "image/jpeg", data: "AA==" } },
        ],
      },
      { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "f", input: { a: 1 } }] },
      {
        role: "user",
        content: [
          { type: "text", text: "go on" },
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "8" }] },
        ],
      },
    ]),
    "llm.anthropic.id": "msg_1",
    "llm.anthropic.content": JSON.stringify([
      { type: "thinking", thinking: "easy" },
      { type: "text", text: "8." },
    ]),
    "llm.anthropic.stop_reason": "end_turn",
    "llm.anthropic.usage": "{'input_tokens': 5, 'output_tokens': 2}",
  });
  assert.deepEqual(messagesOf(call), [
    { role: "system", content: "be brief" },
    {
      role: "user",
      content: [{ type: "image_url", image_url: { url: "data:image/jpeg;base64,AA==" } }],
    },
    { role: "assistant", content: null, tool_calls: [toolCall("t1", "f", '{"a":1}')] },
    { role: "tool", content: "8", tool_call_id: "t1" },
    { role: "user", content: "go on" },
  ]);
  assert.deepEqual(JSON.parse(call.completion), {
    role: "assistant",
    content: "8.",
    reasoning_content: "easy",
  });
  assert.deepEqual([call.finish_reason, call.prompt_tokens], ["end_turn", 5]);
});

test("of the bodies of two providers in one span the first by name is read, in any order", () => {
  const bodies = ["llm.a", "llm.b"].map((prefix): [string, unknown] => [
    `${prefix}.messages`,
    JSON.stringify([{ role: "user", content: prefix }]),
  ]);
  for (const order of [bodies, bodies.toReversed()]) {
    const call = calledOf("raw_gen_ai_request", Object.fromEntries(order));
    assert.deepEqual(messagesOf(call), [{ role: "user", content: "llm.a" }]);
  }
});

test("a text completion is one message, or the token ids it was given", () => {
  const response = { choices: [{ text: " world", token_ids: [3] }] };
  const asked = calledOf("model_request", { request: { prompt: "[1, 2]" }, response });
  assert.deepEqual(messagesOf(asked), [{ role: "user", content: "[1, 2]" }]);
  assert.equal(JSON.parse(asked.completion).content, " world");
  const tokens = calledOf("model_request", { request: { prompt: [1, 2] }, response });
  assert.equal(tokens.prompt_ids.length, 8);
});

test("token ids are found wherever engines put them", () => {
  const asked = { messages: [{ role: "user", content: "hi" }] };
  const own = [{ prompt_token_ids: [1], provider_specific_fields: { token_ids: [2, 3] } }];
  const nested = calledOf("model_request", { request: asked, response: { choices: own } });
  const lists = { prompt_token_ids: [1], response_token_ids: [[2, 3]], choices: [{}] };
  const listed = calledOf("model_request", { request: asked, response: lists });
  const flat = calledOf("model_request", {
    request: asked,
    response: { ...lists, response_token_ids: [2, 3] },
  });
  for (const call of [nested, listed, flat]) {
    assert.deepEqual([call.prompt_ids.length, call.response_ids.length], [4, 8]);
  }
  const perChoice = calledOf("openai.chat.completion", { response_token_ids: [[1], [2, 3]] });
  assert.equal(perChoice.choices[0]?.response_ids.length, 8);
});

test("a 1.0 event says which version answered, and only an HTTP status of 400 or more is a failure", () => {
  const call = calledOf("model_request", { model: "m", model_version: 4, response: {} });
  assert.deepEqual([call.model, call.policy_version, call.error], ["m", 4, null]);
  assert.equal(calledOf("model_request", { http_status: 399, response: {} }).error, null);
  assert.match(calledOf("model_request", { http_status: 400, response: {} }).error ?? "", /400/);
});

test("the chunks an old 1.0 gateway kept are one answer", () => {
  const call = calledOf("model_request", {
    request: { messages: [{ role: "user", content: "hi" }] },
    response: [
      { id: "c", prompt_token_ids: [1], choices: [{ delta: { content: "ho" }, token_ids: [2] }] },
      { choices: [{ delta: { content: "ho" }, token_ids: [3, 4], finish_reason: "stop" }] },
      { choices: [] },
    ],
  });
  assert.equal(JSON.parse(call.completion).content, "hoho");
  assert.deepEqual(
    [call.response_ids.length, call.prompt_ids.length, call.finish_reason, call.response_id],
    [12, 4, "stop", "c"],
  );
});
