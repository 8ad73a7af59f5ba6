import assert from "node:assert/strict";
import { test } from "node:test";
import { unpackInt32 } from "../../../schemas/bytes.ts";
import { answer, events, messages, onlySpan, proxied, streamed } from "./testing.ts";

const chunks = [
  {
    id: "c1",
    model: "policy",
    prompt_token_ids: [1, 2],
    choices: [{ index: 0, delta: { role: "assistant", content: "ro" }, token_ids: [4] }],
  },
  {
    id: "c1",
    choices: [
      {
        index: 0,
        delta: { content: "öm" },
        token_ids: [5],
        logprobs: { content: [{ logprob: -1 }] },
      },
    ],
  },
  {
    id: "c1",
    choices: [
      {
        index: 0,
        delta: { tool_calls: [{ index: 0, id: "t1", function: { name: "f", arguments: '{"a"' } }] },
      },
    ],
  },
  {
    id: "c1",
    choices: [
      {
        index: 0,
        delta: { tool_calls: [{ index: 0, function: { arguments: ":1}" } }] },
        finish_reason: "tool_calls",
      },
    ],
  },
];
const usage = { id: "c1", choices: [], usage: { prompt_tokens: 2, completion_tokens: 2 } };

test("a stream passes unchanged however it is cut, and its span is written before its end", async () => {
  for (const piece of [1, 7, 10_000]) {
    const whole = events(...chunks, usage, "[DONE]");
    const { gateway, seen, call } = await proxied(() => streamed(whole, piece));
    const reply = await call({ messages, stream: true });
    assert.equal(reply.payload, events(...chunks, "[DONE]").toString());
    assert.deepEqual(seen[0]?.body.stream_options, { include_usage: true });
    const span = onlySpan(gateway);
    const { json, longs, int_lists } = span.attributes;
    const [message] = JSON.parse(json["gen_ai.output.messages"] ?? "");
    const tool = { id: "t1", type: "function", function: { name: "f", arguments: '{"a":1}' } };
    assert.deepEqual(message, { role: "assistant", content: "roöm", tool_calls: [tool] });
    assert.equal(longs["gen_ai.usage.output_tokens"], 2);
    const ids = int_lists.response_token_ids ?? new Uint8Array();
    assert.deepEqual([...unpackInt32(ids)], [4, 5]);
  }
});

test("an agent that asks for usage in its stream gets it", async () => {
  const whole = events(...chunks, usage, "[DONE]");
  const { call } = await proxied(() => streamed(whole, 50));
  const options = { stream_options: { include_usage: true } };
  assert.equal((await call({ messages, stream: true, ...options })).payload, whole.toString());
});

test("a stream never ends well before its span is durable", async () => {
  const { gateway, call } = await proxied(() => streamed(events(...chunks, "[DONE]"), 100));
  gateway.log.down = true;
  const reply = await call({ messages, stream: true });
  assert.doesNotMatch(reply.payload, /\[DONE\]/);
  assert.match(reply.payload, /kafka-unavailable/);
  const plain = await proxied(() => Response.json(answer));
  plain.gateway.log.down = true;
  assert.equal((await plain.call({ messages })).statusCode, 503);
});

test("a stream that breaks off is recorded with what came, as failed", async () => {
  const broken = new Error("socket closed");
  const { gateway, call } = await proxied(() => streamed(events(chunks[0] ?? {}), 9, broken));
  const reply = await call({ messages, stream: true });
  assert.doesNotMatch(reply.payload, /\[DONE\]/);
  const span = onlySpan(gateway);
  assert.equal(span.status_code, "ERROR");
  assert.match(span.attributes.json["gen_ai.output.messages"] ?? "", /"ro"/);
});
