import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import fc from "fast-check";
import { unpackInt32 } from "../../../../schemas/bytes.ts";
import type { Json } from "../reading.ts";
import {
  answer,
  anyChunks,
  chunks,
  dataOf,
  events,
  onlySpan,
  proxied,
  relayed,
  spans,
  streamed,
} from "../testing.ts";
import { messageOf } from "./answer.ts";
import { anthropicStream } from "./stream.ts";

const url = "/rollout/r/attempt/at-1/v1/messages";
const asked = { model: "any", max_tokens: 64, messages: [{ role: "user", content: "hello" }] };

type Proxied = Awaited<ReturnType<typeof proxied>>;

/** Anthropic's own client, with only its base URL changed. */
async function clientOf(t: TestContext, { gateway }: Proxied): Promise<Anthropic> {
  const address = await gateway.app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => gateway.app.close());
  const baseURL = `${address}/rollout/r/attempt/at-1`;
  return new Anthropic({ apiKey: "agent-secret", baseURL, maxRetries: 0 });
}

/** A message as it goes over the wire: the client adds what it parsed. */
function plain(message: object): Json {
  const { _request_id, ...rest } = message as Record<string, unknown>;
  return JSON.parse(JSON.stringify(rest));
}

const tools = [
  { name: "rooms", description: "free rooms", input_schema: { type: "object" } },
] as const;

/** Newer models of Anthropic's have no such field, and neither has its client's type. */
const sampling: object = { temperature: 0.5 };

test("a conversation of every kind of block is asked as the chat completion it means", async (t) => {
  const proxy = await proxied(() => Response.json(answer), { sampling_parameters: { top_p: 1 } });
  const client = await clientOf(t, proxy);
  const message = await client.messages.create({
    model: "any",
    max_tokens: 64,
    ...sampling,
    stop_sequences: ["END"],
    system: [
      { type: "text", text: "You book rooms.", cache_control: { type: "ephemeral" } },
      { type: "text", text: "Be brief." },
    ],
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "Which is this?" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
          { type: "image", source: { type: "url", url: "http://x/y.png" } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "look it up", signature: "s" },
          { type: "text", text: "Let me see." },
          { type: "tool_use", id: "t1", name: "rooms", input: { day: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "A, B" }] },
          { type: "text", text: "And?" },
        ],
      },
    ],
    tools: [...tools],
    tool_choice: { type: "any", disable_parallel_tool_use: true },
  });
  assert.deepEqual(proxy.seen[0]?.body, {
    model: "policy",
    max_tokens: 64,
    temperature: 0.5,
    top_p: 1,
    stop: ["END"],
    messages: [
      { role: "system", content: "You book rooms.\nBe brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "Which is this?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
          { type: "image_url", image_url: { url: "http://x/y.png" } },
        ],
      },
      {
        role: "assistant",
        content: "Let me see.",
        reasoning_content: "look it up",
        tool_calls: [
          { id: "t1", type: "function", function: { name: "rooms", arguments: '{"day":1}' } },
        ],
      },
      { role: "tool", tool_call_id: "t1", content: "A, B" },
      { role: "user", content: "And?" },
    ],
    tools: [
      {
        type: "function",
        function: {
          name: "rooms",
          description: "free rooms",
          parameters: { type: "object" },
        },
      },
    ],
    tool_choice: "required",
    parallel_tool_calls: false,
    return_token_ids: true,
    logprobs: true,
  });
  assert.deepEqual(plain(message), {
    id: "chatcmpl-1",
    type: "message",
    role: "assistant",
    model: "policy",
    content: [{ type: "text", text: "room A" }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 3, output_tokens: 2 },
  });
  const span = onlySpan(proxy.gateway);
  const { prompt_token_ids, response_token_ids } = span.attributes.int_lists;
  assert.deepEqual([...unpackInt32(prompt_token_ids ?? new Uint8Array())], [1, 2, 3]);
  assert.deepEqual([...unpackInt32(response_token_ids ?? new Uint8Array())], [4, 5]);
  assert.doesNotMatch(JSON.stringify(spans(proxy.gateway)), /agent-secret/);
});

test("a stream comes as Anthropic's events, its span before its end", async (t) => {
  const proxy = await proxied(() => streamed(events(...chunks, "[DONE]"), 7));
  const client = await clientOf(t, proxy);
  const stream = client.messages.stream({ ...asked, messages: [{ role: "user", content: "?" }] });
  const kinds: string[] = [];
  for await (const event of stream) {
    kinds.push("delta" in event && "type" in event.delta ? event.delta.type : event.type);
  }
  assert.deepEqual(kinds, [
    "message_start",
    ...["content_block_start", "thinking_delta", "content_block_stop"],
    ...["content_block_start", "text_delta", "text_delta", "content_block_stop"],
    ...["content_block_start", "input_json_delta", "content_block_stop"],
    ...["message_delta", "message_stop"],
  ]);
  const { content, stop_reason, usage } = await stream.finalMessage();
  assert.deepEqual(plain({ content, stop_reason, usage }), {
    content: [
      { type: "thinking", thinking: "hm", signature: "" },
      { type: "text", text: "Let me see." },
      { type: "tool_use", id: "t1", name: "rooms", input: { day: 1 } },
    ],
    stop_reason: "tool_use",
    usage: { input_tokens: 2, output_tokens: 3 },
  });
  const ids = onlySpan(proxy.gateway).attributes.int_lists.response_token_ids;
  assert.deepEqual([...unpackInt32(ids ?? new Uint8Array())], [4, 5, 6]);
});

/** What a client makes of a stream's events. */
function assembled(written: string): Json {
  let message: Json = {};
  const content: Record<string, unknown>[] = [];
  const inputs: string[] = [];
  for (const event of dataOf(written) as Record<string, Json>[]) {
    const at = Number(event.index ?? 0);
    if (event.message !== undefined) message = event.message;
    if (event.content_block !== undefined) content[at] = { ...event.content_block };
    if (String(event.type) === "content_block_delta") {
      const block = content[at] ?? {};
      const { type: _, partial_json, ...texts } = event.delta ?? {};
      for (const [name, text] of Object.entries(texts)) block[name] = `${block[name]}${text}`;
      if (partial_json !== undefined) inputs[at] = `${inputs[at] ?? ""}${partial_json}`;
    }
    if (String(event.type) === "message_delta") {
      message = { ...message, ...event.delta, usage: event.usage };
    }
  }
  for (const [at, text] of inputs.entries()) {
    if (text !== undefined) content[at] = { ...content[at], input: JSON.parse(text) };
  }
  return plain({ ...message, content });
}

test("a stream says what the answer would have said in one piece", () => {
  fc.assert(
    fc.property(anyChunks, (all) => {
      const [written, whole] = relayed(all, anthropicStream());
      assert.deepEqual(assembled(written), plain(messageOf(whole)));
    }),
    { numRuns: 500 },
  );
});

test("an engine that breaks off leaves an error event and a failed span, and no end", async () => {
  const broken = new Error("socket closed");
  const { gateway, call } = await proxied(() => streamed(events(...chunks.slice(0, 4)), 9, broken));
  const { payload } = await call({ ...asked, stream: true }, {}, url);
  assert.match(payload, /event: error\ndata: \{"type":"error"/);
  assert.doesNotMatch(payload, /message_stop/);
  assert.equal(onlySpan(gateway).status_code, "ERROR");
  const said = await proxied(() => streamed(events({ error: { message: "out of memory" } }), 50));
  const reply = await said.call({ ...asked, stream: true }, {}, url);
  assert.match(reply.payload, /out of memory/);
  assert.doesNotMatch(reply.payload, /message_stop/);
});

test("refusals and mistakes are errors of Anthropic's form", async (t) => {
  const busy = await proxied(
    () => Response.json({ error: { message: "busy, agent-secret" } }, { status: 429 }),
    {},
  );
  const client = await clientOf(t, busy);
  await assert.rejects(client.messages.create({ ...asked, messages: [] }), (error: unknown) => {
    assert.ok(error instanceof Anthropic.RateLimitError);
    assert.match(error.message, /busy, \*\*\*/);
    return true;
  });
  const page = await proxied(() => new Response("<p>no</p>", { status: 400 }));
  const refused = await page.call(asked, {}, url);
  assert.match(String(refused.headers["content-type"]), /^application\/json/);
  assert.equal(refused.json().error.message, "<p>no</p>");
  const { call, seen } = await proxied(() => Response.json(answer));
  const user = (content: unknown): object => ({ ...asked, messages: [{ role: "user", content }] });
  const cases: [object, string, number, string, RegExp][] = [
    [{ ...asked, messages: "x" }, url, 400, "invalid_request_error", /^messages: read "x"/],
    [
      user([{ type: "document" }]),
      url,
      400,
      "invalid_request_error",
      /^messages\.0\.content\.0\.type/,
    ],
    [
      user([{ type: "image", source: { type: "file" } }]),
      url,
      400,
      "invalid_request_error",
      /base64, url/,
    ],
    [user(7), url, 400, "invalid_request_error", /^messages\.0\.content: read 7/],
    [{ ...asked, messages: [{ role: "x" }] }, url, 400, "invalid_request_error", /role: read "x"/],
    [{ ...asked, system: [7] }, url, 400, "invalid_request_error", /^system\.0\.text/],
    [
      { ...asked, tools: [{ type: "web_search_20250305" }] },
      url,
      400,
      "invalid_request_error",
      /^tools\.0\.type/,
    ],
    [
      { ...asked, tool_choice: { type: "some" } },
      url,
      400,
      "invalid_request_error",
      /^tool_choice\.type/,
    ],
    [asked, "/rollout/none/attempt/at-1/v1/messages", 404, "not_found_error", /none/],
  ];
  for (const [body, at, status, type, message] of cases) {
    const reply = await call(body, {}, at);
    const { error, ...rest } = reply.json();
    assert.deepEqual([reply.statusCode, rest, error.type], [status, { type: "error" }, type]);
    assert.match(error.message, message);
  }
  assert.equal(seen.length, 0);
});
