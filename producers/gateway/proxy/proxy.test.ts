import assert from "node:assert/strict";
import { test } from "node:test";
import { unpackFloat64, unpackInt32 } from "../../../schemas/bytes.ts";
import { answer, apiKey, chat, messages, onlySpan, proxied, spans } from "./testing.ts";

test("a call is one span with messages, tokens, log-probs and the policy's version", async () => {
  const { gateway, seen, call } = await proxied(() => Response.json(answer), {
    sampling_parameters: { temperature: 1 },
  });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const tools = [{ type: "function", function: { name: "rooms", parameters: {} } }];
  const asked = { model: "any", messages, tools, temperature: 0, n: 2 };
  const reply = await call(asked, { traceparent, authorization: "Bearer agent-secret" });
  assert.equal(reply.statusCode, 200);
  assert.deepEqual(reply.json(), answer);
  assert.deepEqual(seen[0]?.body, {
    ...asked,
    model: "policy",
    temperature: 1,
    return_token_ids: true,
    logprobs: true,
  });
  assert.equal(seen[0]?.url, "http://engine/v1/chat/completions");
  assert.equal(seen[0]?.key, `Bearer ${apiKey}`);
  const span = onlySpan(gateway);
  assert.deepEqual(
    [span.name, span.kind, span.status_code],
    ["openai.chat.completion", "CLIENT", "OK"],
  );
  assert.deepEqual([span.rollout_id, span.attempt_id], ["r", "at-1"]);
  assert.equal(span.trace_id, "0af7651916cd43dd8448eb211c80319c");
  assert.equal(span.parent_id, "b7ad6b7169203331");
  const { json, strings, longs, int_lists, double_lists } = span.attributes;
  assert.deepEqual(JSON.parse(json["gen_ai.input.messages"] ?? ""), messages);
  assert.deepEqual(
    JSON.parse(json["gen_ai.output.messages"] ?? ""),
    answer.choices.map(({ message }) => message),
  );
  assert.deepEqual(JSON.parse(json["gen_ai.tool.definitions"] ?? ""), tools);
  assert.deepEqual(JSON.parse(json["gen_ai.response.finish_reasons"] ?? ""), ["stop", "length"]);
  assert.equal(strings["gen_ai.response.id"], "chatcmpl-1");
  assert.equal(longs["gen_ai.usage.input_tokens"], 3);
  assert.equal(longs["lightning.policy.version"], 7);
  const ids = (name: string) => [...unpackInt32(int_lists[name] ?? new Uint8Array())];
  assert.deepEqual(ids("prompt_token_ids"), [1, 2, 3]);
  assert.deepEqual(ids("response_token_ids"), [4, 5]);
  assert.deepEqual(ids("response_token_ids.1"), [6]);
  assert.deepEqual([...unpackFloat64(double_lists.logprobs ?? new Uint8Array())], [-0.5, 0]);
});

test("no key reaches a span, a log line or the agent", async () => {
  const { gateway, call } = await proxied(() =>
    Response.json({ error: { message: `bad key ${apiKey} agent-secret` } }, { status: 401 }),
  );
  const reply = await call({ messages }, { authorization: "Bearer agent-secret" });
  assert.equal(reply.statusCode, 401);
  const span = onlySpan(gateway);
  assert.deepEqual([span.status_code, span.status_message], ["ERROR", "bad key *** ***"]);
  const everything = JSON.stringify(spans(gateway)) + gateway.lines.join() + reply.payload;
  assert.doesNotMatch(everything, /sk-engine-secret|agent-secret/);
});

test("connect errors, 429 and 5xx are tried again at the next endpoint, 400 is not", async () => {
  const endpoints = ["http://a/v1", "http://b/v1"];
  const { gateway, seen, call } = await proxied(
    (_, attempt) => {
      if (attempt === 1) throw new TypeError("fetch failed");
      return attempt < 4
        ? new Response("busy", { status: attempt === 2 ? 429 : 503 })
        : Response.json(answer);
    },
    { endpoints },
  );
  assert.equal((await call({ messages })).statusCode, 200);
  assert.equal(onlySpan(gateway).attributes.longs["lightning.retries"], 3);
  assert.equal(new Set(seen.map(({ url }) => url)).size, 2);
  const refused = await proxied(() => Response.json({ error: { message: "no" } }, { status: 400 }));
  assert.equal((await refused.call({ messages })).statusCode, 400);
  assert.equal(refused.seen.length, 1);
});

test("an engine that never answers is a 502 or a 504 and a failed span", async () => {
  const down = await proxied(() => {
    throw new TypeError("fetch failed");
  });
  assert.equal((await down.call({ messages })).statusCode, 502);
  assert.equal(down.seen.length, 6);
  const span = onlySpan(down.gateway);
  assert.deepEqual([span.status_code, span.attributes.longs["lightning.retries"]], ["ERROR", 5]);
  const silent = await proxied(
    (_seen, _attempt, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  );
  assert.equal((await silent.call({ messages })).statusCode, 504);
  assert.equal(onlySpan(silent.gateway).status_code, "ERROR");
});

test("the older completions API is recorded alike", async () => {
  const choice = {
    index: 0,
    text: "ok",
    finish_reason: "stop",
    token_ids: [9],
    logprobs: { token_logprobs: [-2] },
    prompt_token_ids: [8],
  };
  const { gateway, seen, call } = await proxied(() =>
    Response.json({ id: "x", choices: [choice] }),
  );
  await call({ prompt: "say" }, {}, "/rollout/r/attempt/at-1/v1/completions");
  assert.equal(seen[0]?.body.logprobs, 1);
  const { json, int_lists, double_lists, longs } = onlySpan(gateway).attributes;
  assert.match(json["gen_ai.input.messages"] ?? "", /"say"/);
  assert.match(json["gen_ai.output.messages"] ?? "", /"ok"/);
  assert.deepEqual([...unpackInt32(int_lists.prompt_token_ids ?? new Uint8Array())], [8]);
  assert.deepEqual([...unpackFloat64(double_lists.logprobs ?? new Uint8Array())], [-2]);
  // The engine said no version: the resource set's stands.
  assert.equal(longs["lightning.policy.version"], 1);
});

test("mistakes are a 4xx that names the field, and the engine is not called", async () => {
  const { seen, call, gateway } = await proxied(() => Response.json(answer));
  const cases: [object, string, Record<string, string>, number, string][] = [
    [[], chat, {}, 400, "body"],
    [{ messages }, "/rollout/none/attempt/at-1/v1/chat/completions", {}, 404, "rollout"],
    [{ messages }, "/rollout/r/attempt/none/v1/chat/completions", {}, 404, "attempt"],
    [{ messages }, `/projects/p${chat}`, {}, 404, "rollout"],
    [{ messages }, chat, { "x-lightning-proxy": "1" }, 400, "resources"],
    [{ messages: "x".repeat(9_000_000) }, chat, {}, 413, "body"],
  ];
  for (const [body, url, headers, status, field] of cases) {
    const reply = await call(body, headers, url);
    assert.deepEqual([reply.statusCode, reply.json().error.field], [status, field], url);
  }
  assert.equal(seen.length, 0);
  assert.equal(spans(gateway).length, 0);
});

test("of several engines the one asked for by name or model answers", async () => {
  const { gateway, seen, call } = await proxied(() => Response.json(answer));
  const llm = (model: string) => ({ kind: "llm", endpoint: `http://${model}/v1`, model });
  const resources = {
    actor: llm("m1"),
    judge: { ...llm("m2"), return_token_ids: false, logprobs: false },
  };
  await gateway.app.inject({
    method: "PUT",
    url: "/api/v1/resources/main",
    payload: { resources },
  });
  await call({ messages, model: "judge" });
  await call({ messages, model: "m1" });
  assert.deepEqual(
    seen.map(({ url }) => new URL(url).host),
    ["m2", "m1"],
  );
  assert.equal(seen[0]?.body.return_token_ids, undefined);
  const unknown = await call({ messages, model: "gpt" });
  assert.equal(unknown.statusCode, 404);
  assert.match(unknown.json().error.message, /read "gpt", allowed are actor, m1, judge, m2/);
  const models = await gateway.app.inject({ url: "/rollout/r/attempt/at-1/v1/models" });
  const names = models.json().data.map(({ id }: { id: string }) => id);
  assert.deepEqual(names, ["m1", "actor", "m2", "judge"]);
});

test("an answer that is no JSON is passed on and recorded as failed", async () => {
  const { gateway, call } = await proxied(() => new Response("<html>", { status: 200 }));
  assert.equal((await call({ messages })).payload, "<html>");
  assert.equal(onlySpan(gateway).status_code, "ERROR");
});
