import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { emitReward } from "./emit.ts";
import { instrumentOpenAI } from "./openai.ts";
import { ownAttributes, spansIn } from "./test-log.ts";
import { json, loopback } from "./test-server.ts";

const completion = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "mock-1",
  prompt_token_ids: [1, 2, 3],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  choices: [
    {
      index: 0,
      finish_reason: "tool_calls",
      token_ids: [4, 5],
      logprobs: { content: [{ token: "a", logprob: -0.1 }], refusal: null },
      message: {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: "call_1", type: "function", function: { name: "rooms", arguments: '{"at":10}' } },
        ],
      },
    },
  ],
};

const expected = {
  "gen_ai.system": "OpenAI",
  "gen_ai.request.type": "chat",
  "gen_ai.request.model": "mock-1",
  "gen_ai.request.temperature": 0.5,
  "gen_ai.request.streaming": false,
  "gen_ai.request.functions.0.name": "rooms",
  "gen_ai.request.functions.0.parameters": '{"type":"object"}',
  "gen_ai.prompt.0.role": "user",
  "gen_ai.prompt.0.content": "find a room",
  "gen_ai.response.id": "chatcmpl-1",
  "gen_ai.response.model": "mock-1",
  "gen_ai.usage.prompt_tokens": 3,
  "gen_ai.usage.completion_tokens": 2,
  "gen_ai.usage.total_tokens": 5,
  "gen_ai.completion.0.role": "assistant",
  "gen_ai.completion.0.finish_reason": "tool_calls",
  "gen_ai.completion.0.tool_calls.0.id": "call_1",
  "gen_ai.completion.0.tool_calls.0.name": "rooms",
  "gen_ai.completion.0.tool_calls.0.arguments": '{"at":10}',
  prompt_token_ids: [1, 2, 3],
  response_token_ids: [4, 5],
  "logprobs.content": '[{"token":"a","logprob":-0.1}]',
};

const asked = {
  model: "mock-1",
  temperature: 0.5,
  messages: [{ role: "user" as const, content: "find a room" }],
  tools: [
    { type: "function" as const, function: { name: "rooms", parameters: { type: "object" } } },
  ],
};

/** The same completion in chunks that cut lines and numbers anywhere. */
function chunks(): string {
  const base = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "mock-1" };
  const delta = (index: object, more = {}) => ({
    ...base,
    choices: [{ index: 0, ...index }],
    ...more,
  });
  const call = { index: 0, id: "call_1", type: "function" };
  const events = [
    delta({ delta: { role: "assistant" } }, { prompt_token_ids: [1, 2, 3] }),
    delta({
      delta: { tool_calls: [{ ...call, function: { name: "rooms", arguments: '{"at"' } }] },
      token_ids: [4],
      logprobs: { content: [{ token: "a", logprob: -0.1 }] },
    }),
    delta({
      delta: { tool_calls: [{ index: 0, function: { arguments: ":10}" } }] },
      token_ids: [5],
    }),
    delta({ delta: {}, finish_reason: "tool_calls" }),
    { ...base, choices: [], usage: completion.usage },
  ];
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`;
}

async function engine() {
  const server = await loopback(({ body }, response) => {
    if (JSON.parse(body.toString()).stream !== true) return json(response, 200, completion);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const text = chunks();
    for (let i = 0; i < text.length; i += 37) response.write(text.slice(i, i + 37));
    response.end();
  });
  const options = { baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 };
  return { server, openai: instrumentOpenAI(new OpenAI(options)) };
}

test("a chat completion is recorded as the reference records it, with its tool calls below", async () => {
  const { server, openai } = await engine();
  const spans = await spansIn(async () => {
    const { data } = await openai.chat.completions.create(asked).withResponse();
    assert.equal(data.id, "chatcmpl-1");
    await emitReward(1);
  });
  await server.close();
  const [tool, call, reward] = spans;
  assert.deepEqual(
    spans.map(({ name }) => name),
    ["tool_call.rooms", "openai.chat.completion", "agentlightning.annotation"],
  );
  assert.deepEqual([call?.kind, call?.status_code], ["CLIENT", "OK"]);
  assert.deepEqual(ownAttributes(call), expected);
  assert.equal(tool?.parent_id, call?.span_id);
  assert.equal(tool?.attributes.strings["tool.call.id"], "call_1");
  assert.equal(reward?.parent_id, call?.parent_id);
});

test("a streamed completion is recorded like one in a piece, and reaches the agent unchanged", async () => {
  const { server, openai } = await engine();
  let seen = 0;
  const spans = await spansIn(async () => {
    const stream = await openai.chat.completions.create({ ...asked, stream: true });
    for await (const part of stream) seen += part.choices.length;
    await emitReward(1);
  });
  await server.close();
  assert.equal(seen, 4);
  const call = spans.find(({ name }) => name === "openai.chat.completion");
  assert.deepEqual(ownAttributes(call), { ...expected, "gen_ai.request.streaming": true });
  assert.equal(spans.at(-1)?.name, "agentlightning.annotation");
});

test("a stream the agent leaves early is recorded as far as it got", async () => {
  const { server, openai } = await engine();
  const spans = await spansIn(async () => {
    const stream = await openai.chat.completions.create({ ...asked, stream: true });
    for await (const _part of stream) break;
  });
  await server.close();
  assert.equal(spans.filter(({ name }) => /^openai/.test(name)).length, 1);
});

test("a refused or failed request is no completion, and its error is the agent's", async () => {
  const server = await loopback((_seen, response) => json(response, 500, { error: "down" }));
  const options = { baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 };
  const openai = instrumentOpenAI(new OpenAI(options));
  const spans = await spansIn(async () => {
    await assert.rejects(openai.chat.completions.create(asked), /500/);
    await server.close();
    await assert.rejects(openai.chat.completions.create(asked), /Connection error/);
  });
  assert.deepEqual(
    spans.map(({ name, status_code }) => [name, status_code]),
    [
      ["openai.request", "ERROR"],
      ["openai.request", "ERROR"],
    ],
  );
});

test("outside of an attempt, and for other calls, a client is as it was", async () => {
  const { server, openai } = await engine();
  assert.equal((await openai.chat.completions.create(asked)).id, "chatcmpl-1");
  const spans = await spansIn(() => openai.embeddings.create({ model: "m", input: "x" }));
  await server.close();
  assert.deepEqual(spans, []);
  assert.throws(() => instrumentOpenAI({}), /no fetch to wrap/);
});
