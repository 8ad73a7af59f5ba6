import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import OpenAI from "openai";
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
  streamed,
} from "../testing.ts";
import { responseOf } from "./answer.ts";
import { responseStream } from "./stream.ts";

const url = "/rollout/r/attempt/at-1/v1/responses";

type Proxied = Awaited<ReturnType<typeof proxied>>;

/** OpenAI's own client, with only its base URL changed. */
async function clientOf(t: TestContext, { gateway }: Proxied): Promise<OpenAI> {
  const address = await gateway.app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => gateway.app.close());
  const baseURL = `${address}/rollout/r/attempt/at-1/v1`;
  return new OpenAI({ apiKey: "agent-secret", baseURL, maxRetries: 0 });
}

test("a conversation of every kind of item is asked as the chat completion it means", async (t) => {
  const proxy = await proxied(() => Response.json(answer));
  const client = await clientOf(t, proxy);
  const response = await client.responses.create({
    model: "any",
    instructions: "You book rooms.",
    max_output_tokens: 64,
    temperature: 0.5,
    input: [
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "input_text", text: "Which is this?" },
          { type: "input_image", image_url: "http://x/y.png", detail: "low" },
        ],
      },
      {
        type: "reasoning",
        id: "rs_1",
        summary: [],
        content: [{ type: "reasoning_text", text: "look it up" }],
      },
      {
        type: "message",
        id: "msg_1",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "Let me see.", annotations: [] }],
      },
      { type: "function_call", call_id: "t1", name: "rooms", arguments: '{"day":1}' },
      { type: "function_call", call_id: "t2", name: "rooms", arguments: '{"day":2}' },
      { type: "function_call_output", call_id: "t1", output: "A, B" },
      {
        type: "function_call_output",
        call_id: "t2",
        output: [{ type: "input_text", text: "none" }],
      },
      { role: "user", content: "And?" },
    ],
    tools: [{ type: "function", name: "rooms", parameters: { type: "object" }, strict: true }],
    tool_choice: { type: "function", name: "rooms" },
    parallel_tool_calls: true,
    reasoning: { effort: "low" },
    text: { format: { type: "json_schema", name: "room", schema: { type: "object" } } },
  });
  const call = (id: string, day: number): Json => ({
    id,
    type: "function",
    function: { name: "rooms", arguments: `{"day":${day}}` },
  });
  assert.deepEqual(proxy.seen[0]?.body, {
    model: "policy",
    max_tokens: 64,
    temperature: 0.5,
    parallel_tool_calls: true,
    messages: [
      { role: "system", content: "You book rooms." },
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "Which is this?" },
          { type: "image_url", image_url: { url: "http://x/y.png", detail: "low" } },
        ],
      },
      {
        role: "assistant",
        content: "Let me see.",
        reasoning_content: "look it up",
        tool_calls: [call("t1", 1), call("t2", 2)],
      },
      { role: "tool", tool_call_id: "t1", content: "A, B" },
      { role: "tool", tool_call_id: "t2", content: "none" },
      { role: "user", content: "And?" },
    ],
    tools: [
      {
        type: "function",
        function: { name: "rooms", parameters: { type: "object" }, strict: true },
      },
    ],
    tool_choice: { type: "function", function: { name: "rooms" } },
    reasoning_effort: "low",
    response_format: {
      type: "json_schema",
      json_schema: { name: "room", schema: { type: "object" } },
    },
    return_token_ids: true,
    logprobs: true,
  });
  assert.equal(response.output_text, "room A");
  assert.deepEqual(
    [response.id, response.status, response.usage?.input_tokens, response.usage?.output_tokens],
    ["chatcmpl-1", "completed", 3, 2],
  );
  const ids = onlySpan(proxy.gateway).attributes.int_lists.response_token_ids;
  assert.deepEqual([...unpackInt32(ids ?? new Uint8Array())], [4, 5]);
});

test("a stream comes as a response's events, its span before its end", async (t) => {
  const proxy = await proxied(() => streamed(events(...chunks, "[DONE]"), 7));
  const client = await clientOf(t, proxy);
  const stream = client.responses.stream({ model: "any", input: "?" });
  const kinds: string[] = [];
  const numbers: number[] = [];
  for await (const event of stream) {
    kinds.push(event.type.replace("response.", ""));
    numbers.push(event.sequence_number);
  }
  const part = (kind: string): string[] => [
    "output_item.added",
    "content_part.added",
    ...(kind === "output_text" ? [`${kind}.delta`] : []),
    `${kind}.delta`,
    `${kind}.done`,
    "content_part.done",
    "output_item.done",
  ];
  assert.deepEqual(kinds, [
    ...["created", "in_progress"],
    ...part("reasoning_text"),
    ...part("output_text"),
    ...["output_item.added", "function_call_arguments.delta", "function_call_arguments.done"],
    ...["output_item.done", "completed"],
  ]);
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => i),
  );
  const response = await stream.finalResponse();
  assert.equal(response.output_text, "Let me see.");
  assert.deepEqual(
    response.output.map((item) => item.type),
    ["reasoning", "message", "function_call"],
  );
  assert.equal(response.usage?.total_tokens, 5);
  const ids = onlySpan(proxy.gateway).attributes.int_lists.response_token_ids;
  assert.deepEqual([...unpackInt32(ids ?? new Uint8Array())], [4, 5, 6]);
});

test("a stream says what the answer would have said in one piece", () => {
  const asked = { model: "m", metadata: { a: "b" }, tools: [] };
  fc.assert(
    fc.property(anyChunks, (all) => {
      const [written, answered] = relayed(all, responseStream(asked));
      const sent = dataOf(written);
      const whole = JSON.parse(JSON.stringify(responseOf(asked, answered)));
      assert.deepEqual(sent.at(-1)?.response, whole);
      const done = sent.filter(({ type }) => type === "response.output_item.done");
      assert.deepEqual(
        done.map(({ item }) => item),
        whole.output,
      );
    }),
    { numRuns: 500 },
  );
});

test("an engine that breaks off leaves an error event and a failed span, and no end", async () => {
  const broken = new Error("socket closed");
  const { gateway, call } = await proxied(() => streamed(events(...chunks.slice(0, 4)), 9, broken));
  const { payload } = await call({ input: "?", stream: true }, {}, url);
  assert.match(payload, /event: error\ndata: \{"type":"error"/);
  assert.doesNotMatch(payload, /response\.completed/);
  assert.equal(onlySpan(gateway).status_code, "ERROR");
  const said = await proxied(() => streamed(events({ error: { message: "out of memory" } }), 50));
  const reply = await said.call({ input: "?", stream: true }, {}, url);
  assert.match(reply.payload, /out of memory/);
  assert.doesNotMatch(reply.payload, /response\.completed/);
});

test("thoughts go to the turn they led to, and what is sealed says nothing", async () => {
  const { call, seen } = await proxied(() => Response.json(answer));
  const thought = (text: string): Json => ({ type: "reasoning", summary: [{ text }] });
  const said = (text: string): Json => ({ role: "assistant", content: text });
  const sealed = { type: "reasoning", summary: [], encrypted_content: "x" };
  await call({ input: [thought("a"), thought("b"), said("1"), sealed, said("2")] }, {}, url);
  assert.deepEqual(seen[0]?.body.messages, [
    { role: "assistant", content: "1", reasoning_content: "a\nb" },
    { role: "assistant", content: "2" },
  ]);
});

test("mistakes are a 4xx that names the field, and the engine is not called", async () => {
  const { call, seen } = await proxied(() => Response.json(answer));
  const user = (content: unknown): object => ({ input: [{ role: "user", content }] });
  const cases: [object, string][] = [
    [{ input: 7 }, "input"],
    [{ input: "x", previous_response_id: "resp_1" }, "previous_response_id"],
    [{ input: [{ type: "item_reference", id: "msg_1" }] }, "input.0.type"],
    [{ input: [{ role: "x", content: "" }] }, "input.0.role"],
    [user(7), "input.0.content"],
    [user([{ type: "input_file" }]), "input.0.content.0.type"],
    [user([{ type: "input_image", file_id: "f" }]), "input.0.content.0.image_url"],
    [{ input: "x", tools: [{ type: "web_search" }] }, "tools.0.type"],
    [{ input: "x", tool_choice: { type: "mcp" } }, "tool_choice.type"],
    [{ input: "x", text: { format: { type: "xml" } } }, "text.format.type"],
  ];
  for (const [body, field] of cases) {
    const reply = await call(body, {}, url);
    assert.deepEqual([reply.statusCode, reply.json().error.field], [400, field]);
  }
  assert.equal(seen.length, 0);
});
