import assert from "node:assert/strict";
import { test } from "node:test";
import { unpackFloat32, unpackInt32 } from "../../schemas/bytes.ts";
import type { Call } from "../../schemas/types.ts";
import { calledOf, keptOf } from "./fixtures.ts";

type Json = Readonly<Record<string, unknown>>;

const messagesOf = (call: Call): unknown => JSON.parse(call.messages);
const completionOf = (call: Call): unknown => JSON.parse(call.completion);
const toolCall = (id: string, name: string, given: string): unknown => ({
  id,
  type: "function",
  function: { name, arguments: given },
});

const thought = {
  type: "reasoning",
  id: "rs_1",
  summary: [{ type: "summary_text", text: "look it up" }],
};
const asks = {
  type: "function_call",
  id: "fc_1",
  call_id: "call_1",
  name: "rooms",
  arguments: '{"at":10}',
  status: "completed",
};
const says = {
  type: "message",
  id: "msg_1",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text: "Let me see.", annotations: [], logprobs: [] }],
};
const answer = { type: "function_call_output", call_id: "call_1", output: "A1, B2" };

const request: Json = {
  model: "asked",
  instructions: "Be brief.",
  temperature: 0.5,
  top_p: 0.75,
  tools: [
    { type: "function", name: "rooms", description: "d", parameters: { type: "object" } },
    { type: "web_search" },
  ],
  input: [
    { role: "developer", content: "Rooms only." },
    {
      role: "user",
      content: [
        { type: "input_text", text: "which room?" },
        { type: "input_image", image_url: "https://x/y.png", detail: "low" },
        { type: "input_file", file_id: "file_1" },
      ],
    },
  ],
};

const response: Json = {
  id: "resp_1",
  object: "response",
  model: "served",
  status: "completed",
  error: null,
  incomplete_details: null,
  instructions: "Be brief.",
  output: [thought, says, asks],
  usage: { input_tokens: 7, output_tokens: 4, total_tokens: 11 },
};

const shown = [
  { role: "system", content: "Be brief." },
  { role: "developer", content: "Rooms only." },
  {
    role: "user",
    content: [
      { type: "text", text: "which room?" },
      { type: "image_url", image_url: { url: "https://x/y.png", detail: "low" } },
      { type: "input_file", file_id: "file_1" },
    ],
  },
];
const made = {
  role: "assistant",
  content: "Let me see.",
  reasoning_content: "look it up",
  tool_calls: [toolCall("call_1", "rooms", '{"at":10}')],
};

/** What LiteLLM writes: texts and numbers as they are, all else as Python prints it, nothing as "". */
function litellm(body: Json): Json {
  const literal = (value: unknown): string =>
    JSON.stringify(value).replaceAll("null", "None").replaceAll('"', "'").replaceAll("\\'", '\\"');
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [
      `llm.openai.${name}`,
      value === null ? "" : typeof value === "object" ? literal(value) : value,
    ]),
  );
}

/** Taken apart into dotted names, as the reference's emitters do. */
function spread(prefix: string, value: unknown): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [[prefix, value]];
  return Object.entries(value).flatMap(([name, item]) => spread(`${prefix}.${name}`, item));
}

for (const [by, name, attributes] of [
  ["a 1.0 event", "model_request", { request, response, http_status: 200, status: "ok" }],
  [
    "a 1.0 event whose response is a stream's events",
    "model_request",
    {
      request,
      response: [
        { type: "response.created", response: { ...response, status: "in_progress", output: [] } },
        { type: "response.output_text.delta", delta: "Let" },
        { type: "response.completed", response },
      ],
    },
  ],
  ["LiteLLM's raw request", "raw_gen_ai_request", litellm({ ...request, ...response })],
  [
    "Weave",
    "openai.responses.create",
    Object.fromEntries([
      ...spread("agentlightning.operation.input", request),
      ...spread("agentlightning.operation.output", response),
    ]),
  ],
  [
    "OpenInference with its bodies",
    "Response",
    {
      "openinference.span.kind": "LLM",
      "input.value": JSON.stringify(request),
      "output.value": JSON.stringify(response),
    },
  ],
] as const) {
  test(`bodies of the Responses API are a call like any other: ${by}`, () => {
    const call = calledOf(name, attributes);
    assert.deepEqual(messagesOf(call), shown);
    assert.deepEqual(completionOf(call), made);
    assert.deepEqual([call.response_id, call.model, call.error], ["resp_1", "served", null]);
    assert.deepEqual([call.prompt_tokens, call.completion_tokens], [7, 4]);
    assert.deepEqual([call.temperature, call.top_p, call.finish_reason], [0.5, 0.75, "tool_calls"]);
    assert.deepEqual(JSON.parse(call.tools ?? ""), [
      {
        type: "function",
        function: { name: "rooms", description: "d", parameters: { type: "object" } },
      },
      { type: "web_search" },
    ]);
    assert.deepEqual([call.previous_response_id, call.instructions], [null, 1]);
  });
}

const calledWith = (asked: Json, said: Json): Call =>
  calledOf("model_request", { request: asked, response: { object: "response", ...said } });

test("a Responses input may be a text, also one that looks like a list", () => {
  const input = '[{"role": "user", "content": "hi"}]';
  assert.deepEqual(messagesOf(calledWith({ input }, {})), [{ role: "user", content: input }]);
});

test("what was said and answered before is in the input as it was in the outputs", () => {
  const second = { ...asks, id: "fc_2", call_id: "call_2" };
  const call = calledWith(
    {
      input: [
        { role: "user", content: "hi" },
        thought,
        says,
        asks,
        second,
        answer,
        { ...answer, call_id: "call_2", output: [{ type: "input_text", text: "none" }] },
        { role: "assistant", content: "A1." },
      ],
    },
    {},
  );
  assert.deepEqual(messagesOf(call), [
    { role: "user", content: "hi" },
    { ...made, tool_calls: [...made.tool_calls, toolCall("call_2", "rooms", '{"at":10}')] },
    { role: "tool", content: "A1, B2", tool_call_id: "call_1" },
    { role: "tool", content: "none", tool_call_id: "call_2" },
    { role: "assistant", content: "A1." },
  ]);
});

test("items and parts of unknown type are kept as they are, where they stood", () => {
  const searched = { type: "web_search_call", id: "ws_1", status: "completed" };
  const clicked = { type: "computer_call_output", call_id: "c", output: { image_url: "x" } };
  const referred = { type: "item_reference", id: "msg_0" };
  const refused = { type: "refusal", refusal: "no" };
  const unheardOf = { type: "dream", of: ["sheep"] };
  const call = calledWith(
    { input: [referred, searched, clicked] },
    { output: [searched, unheardOf, { ...says, content: [refused, { type: "smell" }] }] },
  );
  assert.deepEqual(messagesOf(call), [
    { role: "user", content: [referred] },
    { role: "assistant", content: [searched] },
    { role: "tool", content: [clicked], tool_call_id: "c" },
  ]);
  assert.deepEqual(completionOf(call), {
    role: "assistant",
    content: [searched, unheardOf, refused, { type: "smell" }],
  });
});

test("several texts of one output stay several", () => {
  const call = calledWith({ input: "hi" }, { output: [says, says] });
  const text = { type: "text", text: "Let me see." };
  assert.deepEqual(completionOf(call), { role: "assistant", content: [text, text] });
});

test("an answer that was cut off says so, one that failed has its error", () => {
  const why = (said: Json): unknown => calledWith({ input: "hi" }, said).finish_reason;
  const cut = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
  assert.equal(why({ ...cut, output: [says] }), "length");
  assert.equal(
    why({ ...cut, incomplete_details: { reason: "content_filter" }, output: [says] }),
    "content_filter",
  );
  assert.equal(why({ status: "completed", output: [says] }), "stop");
  const failed = calledWith(
    { input: "hi" },
    { status: "failed", error: { code: "server_error", message: "gone" }, output: [] },
  );
  assert.deepEqual([failed.error, failed.finish_reason], ["gone", null]);
});

test("token ids and log-probs are those of the engine, and none when it is not clear whose they are", () => {
  const raw = (tokens: number[]): Json => ({ type: "raw_message_tokens", message: "m", tokens });
  const logprobs = [-0.5, -0.25].map((logprob) => ({ token: "t", logprob, top_logprobs: [] }));
  const text = { ...says, content: [{ type: "output_text", text: "ab", logprobs }] };
  const said = { input_messages: [raw([1, 2, 3])], output_messages: [raw([4, 5])] };
  const call = calledWith({ input: "hi" }, { ...said, output: [text] });
  assert.deepEqual([...unpackInt32(call.prompt_ids)], [1, 2, 3]);
  assert.deepEqual([...unpackInt32(call.response_ids)], [4, 5]);
  assert.deepEqual([...unpackFloat32(call.logprobs)], [-0.5, -0.25]);
  const several = calledWith(
    { input: "hi" },
    { ...said, output_messages: [raw([4]), raw([5])], output: [text, asks] },
  );
  assert.deepEqual([several.response_ids.length, several.logprobs.length], [0, 0]);
});

test("a request that was not answered is read, and one for embeddings is none of these", () => {
  const failed = { http_status: 500, response: { error: { message: "down" } } };
  const read = (asked: Json, more: Json = failed): unknown =>
    messagesOf(calledOf("model_request", { request: asked, ...more }));
  assert.deepEqual(read({ input: [{ role: "user", content: "hi" }] }), [
    { role: "user", content: "hi" },
  ]);
  assert.deepEqual(read({ input: "hi" }), []);
  assert.deepEqual(read({ input: ["hi"] }), []);
  const embedded = { response: { object: "list", data: [{ embedding: [0.5] }] } };
  assert.deepEqual(read({ input: "hi" }, embedded), []);
  const raw = { "llm.openai.input": "hi", "llm.openai.object": "list", "llm.openai.data": "[]" };
  assert.equal(keptOf("raw_gen_ai_request", raw).call, null);
});
