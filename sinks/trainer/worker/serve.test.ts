import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createPolicy, decide } from "./policy.ts";
import { contextLength, readPrompt } from "./prompt.ts";
import { seededRandom } from "./random.ts";
import { buildModelServer } from "./serve.ts";

const served = { policy: createPolicy(1), version: 3 };
const app = buildModelServer({ served, model: "room-booker", random: seededRandom(1) });
const user = { role: "user", content: "Find a room for 4 people" };
const tool = (properties: object) => ({
  type: "function",
  function: { name: "list_rooms", description: "List the rooms.", parameters: { properties } },
});

type Answer = {
  prompt_token_ids: number[];
  system_fingerprint: string;
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  choices: {
    finish_reason: string;
    token_ids: number[];
    message: {
      content: string | null;
      tool_calls?: { id: string; function: { name: string; arguments: string } }[];
    };
    logprobs: { content: { token: string; logprob: number; bytes: number[] }[] };
  }[];
};

async function post(payload: unknown) {
  const response = await app.inject({
    method: "POST",
    url: "/v1/chat/completions",
    headers: { "content-type": "application/json" },
    payload: typeof payload === "string" ? payload : JSON.stringify(payload),
  });
  return { status: response.statusCode, headers: response.headers, body: response.json() };
}

async function complete(payload: object): Promise<Answer> {
  const { status, body } = await post(payload);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

test("served log-probs are what the policy of that version computes from the served ids", async () => {
  const answer = await complete({
    messages: [user],
    tools: [tool({ n: { type: "integer" } })],
    n: 8,
  });
  const prompt = readPrompt(answer.prompt_token_ids);
  for (const { token_ids: ids, logprobs } of answer.choices) {
    assert.equal(logprobs.content.length, ids.length);
    ids.forEach((id, t) => {
      const decision = decide(served.policy, prompt, ids.slice(0, t));
      const expected = decision?.logProbs[decision.allowed.indexOf(id)] ?? Number.NaN;
      assert.ok(Math.abs((logprobs.content[t]?.logprob ?? 0) - expected) < 1e-5);
    });
  }
});

test("an answer says which policy gave it, and counts its tokens", async () => {
  const { headers, body } = await post({ messages: [user], model: "any", user: "x", top_p: 0.9 });
  assert.equal(headers["x-policy-version"], "3");
  assert.equal(body.system_fingerprint, "policy-v3");
  const { usage, choices, prompt_token_ids: promptIds }: Answer = body;
  assert.equal(usage.prompt_tokens, promptIds.length);
  assert.equal(usage.completion_tokens, choices[0]?.token_ids.length);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("an answer is either text or a call whose arguments have the declared types", async () => {
  const properties = { n: { type: "integer" }, size: { enum: [4, 8] }, time: { enum: ["9:00"] } };
  const { choices } = await complete({ messages: [user], tools: [tool(properties)], n: 32 });
  const calls = choices.filter(({ finish_reason: reason }) => reason === "tool_calls");
  assert.ok(calls.length > 0 && calls.length < choices.length);
  for (const { message } of calls) {
    const [call] = message.tool_calls ?? [];
    const { n, size, time } = JSON.parse(call?.function.arguments ?? "");
    assert.equal(message.content, null);
    assert.deepEqual([typeof n, [4, 8].includes(size), time], ["number", true, "9:00"]);
  }
  for (const { message } of choices.filter((choice) => !calls.includes(choice))) {
    assert.ok(user.content.includes(message.content ?? "?"));
  }
});

test("greedy and seeded answers are the same each time", async () => {
  for (const fixed of [{ temperature: 0 }, { seed: 5, n: 8 }]) {
    const ask = { messages: [user], tools: [tool({ n: { type: "integer" } })], ...fixed };
    const [one, two] = [await complete(ask), await complete(ask)];
    const ids = (answer: Answer) => answer.choices.map(({ token_ids: each }) => each);
    assert.deepEqual(ids(one), ids(two));
  }
});

test("a limit of tokens cuts the answer off and says so", async () => {
  const { choices } = await complete({ messages: [user], max_tokens: 2 });
  assert.equal(choices[0]?.finish_reason, "length");
  assert.equal(choices[0]?.token_ids.length, 2);
});

test("tool_choice none takes the tools away", async () => {
  const tools = [tool({ n: { type: "integer" } })];
  const { choices } = await complete({ messages: [user], tools, tool_choice: "none", n: 32 });
  assert.ok(choices.every(({ finish_reason: reason }) => reason === "stop"));
});

test("bad input is a 400 in OpenAI's shape that names the field", async () => {
  const cases: [unknown, string][] = [
    ["{", "null"],
    ["[]", "body"],
    [{}, "body"],
    [{ messages: [] }, "messages"],
    [{ messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user", content: 5 }] }, "messages[0].content"],
    [{ messages: [{ role: "assistant", tool_calls: [{}] }] }, "messages[0].tool_calls[0]"],
    [{ messages: [user], temperature: "1" }, "temperature"],
    [{ messages: [user], temperature: 3 }, "temperature"],
    [{ messages: [user], n: 1.5 }, "n"],
    [{ messages: [user], n: 100_000 }, "n"],
    [{ messages: [user], stream: true }, "stream"],
    [{ messages: [user], tool_choice: "required" }, "tool_choice"],
    [{ messages: [user], tools: [{ function: {} }] }, "tools[0].function"],
  ];
  for (const [payload, param] of cases) {
    const { status, body } = await post(payload);
    assert.equal(status, 400, JSON.stringify(payload));
    assert.equal(String(body.error.param), param);
    assert.equal(body.error.type, "invalid_request_error");
    assert.ok(body.error.message.length > 0);
  }
});

test("a prompt longer than the context is refused, however it is long, and stalls nobody", async () => {
  for (const content of ["room ".repeat(contextLength), " ".repeat(200_000), "q".repeat(200_000)]) {
    const { status, body } = await post({ messages: [{ role: "user", content }] });
    assert.equal(status, 400);
    assert.equal(body.error.code, "context_length_exceeded");
  }
  const { status } = await post({ messages: [{ role: "user", content: "x".repeat(1_000_000) }] });
  assert.equal(status, 413);
});

test("a prompt that fills the context with repetition is answered soon", async () => {
  const numbers = Array.from({ length: 40 }, (_, i) => i).join(" ");
  const content = Array.from({ length: 24 }, () => `${numbers} room`).join("\n");
  const started = performance.now();
  await complete({
    messages: [
      { role: "user", content: numbers },
      { role: "tool", content },
    ],
  });
  await complete({ messages: [{ role: "user", content: "room 4 ".repeat(900) }] });
  assert.ok(performance.now() - started < 2_000);
});

test("no JSON makes the server fail: it answers or refuses", async () => {
  const message = fc.record(
    { role: fc.constantFrom("user", "tool", "assistant", "x"), content: fc.jsonValue() },
    { requiredKeys: [] },
  );
  const property = fc.asyncProperty(
    fc.oneof(fc.jsonValue(), fc.record({ messages: fc.array(message), tools: fc.jsonValue() })),
    async (payload) => {
      const { status } = await post(payload);
      assert.ok(status === 200 || status === 400, String(status));
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

test("a tool named like what every object has is only a name", async () => {
  const parameters = { properties: {}, required: ["constructor", "__proto__"] };
  const odd = { type: "function", function: { name: "list_rooms", parameters } };
  const { choices } = await complete({ messages: [user], tools: [odd], n: 8 });
  assert.ok(choices.every(({ finish_reason: reason }) => reason === "stop"));
});

test("models are listed, and what is not there is a 404 in OpenAI's shape", async () => {
  const models = await app.inject({ url: "/v1/models" });
  assert.equal(models.json().data[0].id, "room-booker");
  const missing = await app.inject({ url: "/v1/embeddings" });
  assert.equal(missing.statusCode, 404);
  assert.equal(missing.json().error.type, "invalid_request_error");
});
