import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf, LightningError } from "../../schemas/errors.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { attributesOf, spanOf } from "../traces/fixtures.ts";
import { grouped } from "./grouped.ts";
import { conversationsOf } from "./messages.ts";

type Attributes = Readonly<Record<string, unknown>>;

const callOf = (attributes: Attributes, span_id = "call"): SpanRecorded =>
  spanOf(span_id, 0, 1, { name: "openai.chat.completion", attributes });

const toolOf = (id: string, parent_id: string): SpanRecorded =>
  spanOf(id, 0, 1, {
    parent_id,
    attributes: {
      "tool.name": "add",
      "tool.parameters": '{"a": 1}',
      "tool.call.id": id,
      "tool.call.type": "function",
    },
  });

const only = (spans: readonly SpanRecorded[]) => {
  const [conversation] = conversationsOf(spans);
  assert.ok(conversation !== undefined);
  return conversation;
};

const asked = {
  "gen_ai.prompt.0.role": "assistant",
  "gen_ai.prompt.0.content": "let me add",
  "gen_ai.prompt.0.tool_calls.0.id": "c",
  "gen_ai.prompt.0.tool_calls.0.name": "add",
  "gen_ai.prompt.0.tool_calls.0.arguments": "{}",
};

test("what an assistant said beside its tool calls in the history stays", () => {
  const [message] = only([callOf(asked)]).messages;
  assert.equal(message?.content, "let me add");
  assert.deepEqual(message?.tool_calls, [
    { id: "c", type: "function", function: { name: "add", arguments: "{}" } },
  ]);
});

test("tool calls of an answer come from its child spans, in the order of the list", () => {
  const answer = { "gen_ai.completion.0.role": "assistant" };
  const { messages } = only([
    toolOf("t1", "call"),
    callOf(answer),
    toolOf("t2", "call"),
    toolOf("x", "else"),
  ]);
  assert.deepEqual(
    messages[0]?.tool_calls?.map(({ id }) => id),
    ["t1", "t2"],
  );
  assert.equal(messages[0]?.content, null);
});

test("tool calls written on the answer itself stay, where no child span says more", () => {
  const answer = {
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.tool_calls.0.id": "own",
    "gen_ai.completion.0.tool_calls.0.name": "f",
    "gen_ai.completion.0.tool_calls.0.arguments": "{}",
  };
  const idsIn = (spans: readonly SpanRecorded[]) =>
    only(spans).messages[0]?.tool_calls?.map(({ id }) => id);
  assert.deepEqual(idsIn([callOf(answer)]), ["own"]);
  assert.deepEqual(idsIn([callOf(answer), toolOf("t", "call")]), ["t"]);
});

test("messages stand by ascending index, gaps closed, and names beside the indexes are left out", () => {
  const { messages } = only([
    callOf({
      "gen_ai.prompt.10.role": "user",
      "gen_ai.prompt.10.content": "second",
      "gen_ai.prompt.2.role": "system",
      "gen_ai.prompt.2.content": "first",
      "gen_ai.prompt.prompt_filter_results": "x",
    }),
  ]);
  assert.deepEqual(messages, [
    { role: "system", content: "first" },
    { role: "user", content: "second" },
  ]);
});

test("offered functions become tools, their parameters read, and null where none were offered", () => {
  const functions = {
    "gen_ai.request.functions.0.name": "add",
    "gen_ai.request.functions.0.parameters": '{"type": "object"}',
  };
  assert.deepEqual(only([callOf(functions)]).tools, [
    {
      type: "function",
      function: { name: "add", description: "", parameters: { type: "object" } },
    },
  ]);
  assert.equal(only([callOf({ "gen_ai.request.model": "m" })]).tools, null);
});

test("spans without gen_ai attributes give nothing, all others one conversation in their order", () => {
  const spans = [
    spanOf("x", 0, 1),
    callOf({ "gen_ai.response.id": "1" }, "a"),
    callOf({ "gen_ai.prompt.0.role": "user" }, "b"),
  ];
  assert.deepEqual(conversationsOf(spans), [
    { messages: [], tools: null },
    { messages: [{ role: "user", content: "" }], tools: null },
  ]);
});

for (const [attributes, message] of [
  [{ "gen_ai.prompt.0.content": "x" }, /span call .*: gen_ai\.prompt\.0\.role is missing/],
  [{ "gen_ai.prompt.0.role": "model" }, /gen_ai\.prompt\.0\.role is "model", allowed is developer/],
  [{ "gen_ai.prompt.0.role": "tool" }, /gen_ai\.prompt\.0\.tool_call_id is missing/],
  [{ "gen_ai.prompt.role": "user" }, /gen_ai\.prompt is \{"role":"user"\}, allowed is a list/],
  [{ "gen_ai.request.0": "user" }, /gen_ai\.request is .* allowed is fields/],
  [
    { "gen_ai.prompt.0.role": "assistant", "gen_ai.prompt.0.tool_calls.0.id": "x" },
    /gen_ai\.prompt\.0\.tool_calls\.0\.name is missing/,
  ],
  [
    { "gen_ai.request.functions.0.name": "f", "gen_ai.request.functions.0.parameters": "{" },
    /gen_ai\.request\.functions\.0\.parameters is "\{", allowed is JSON/,
  ],
] as const) {
  test(`what cannot be a message is named: ${message.source}`, () => {
    assert.throws(
      () => conversationsOf([callOf(attributes)]),
      (error) => error instanceof LightningError && message.test(error.message),
    );
  });
}

test("whatever the attributes, there is an answer or an error that names one", () => {
  const segment = fc.constantFrom(
    "0",
    "1",
    "role",
    "content",
    "tool_calls",
    "functions",
    "",
    "__proto__",
  );
  const name = fc
    .tuple(
      fc.constantFrom("gen_ai.prompt", "gen_ai.completion", "gen_ai.request", "tool"),
      fc.array(segment, { minLength: 1, maxLength: 5 }),
    )
    .map(([prefix, rest]) => [prefix, ...rest].join("."));
  const value = fc.constantFrom<unknown>("assistant", "user", "{}", 1, true, [1, 2], 0.5, { a: 1 });
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 8 }), (attributes) => {
      const span = { ...callOf({}), attributes: attributesOf(attributes) };
      try {
        conversationsOf([span, { ...span, span_id: "child", parent_id: "call" }]);
      } catch (error) {
        assert.equal(codeOf(error), "record-invalid", String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test("a name of a hundred thousand segments exhausts no stack", () => {
  const name = `gen_ai.request.${"a.".repeat(100_000)}b`;
  assert.equal(conversationsOf([callOf({ [name]: "x" })]).length, 1);
});

test("a list wins over names beside it, what lies deeper over a value of the same name", () => {
  const flat = (fields: Attributes) => grouped(new Map(Object.entries(fields)));
  assert.deepEqual(flat({ "1.a": 1, "0": 2, x: 3 }), [{ "": 2 }, { a: 1 }]);
  assert.deepEqual(flat({ a: 1, "a.b": 2, c: 3 }), { a: { b: 2 }, c: 3 });
  assert.deepEqual(flat({}), {});
});

test("conversations come as they happened, whatever the order of the list and copies in it", () => {
  const saying = (content: string): Attributes => ({
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": content,
  });
  const spans = ["a", "b", "c"].flatMap((id, i) => [
    spanOf(id, i, i + 1, { name: "openai.chat.completion", attributes: saying(id) }),
    { ...toolOf(`${id}1`, id), start_time: i, end_time: i + 1 },
    { ...toolOf(`${id}2`, id), start_time: i, end_time: i + 1 },
  ]);
  const once = conversationsOf(spans);
  assert.deepEqual(
    once.map(({ messages }) => messages[0]?.content),
    ["a", "b", "c"],
  );
  const again = fc.shuffledSubarray([...spans, ...spans], { minLength: 2 * spans.length });
  fc.assert(fc.property(again, (sent) => assert.deepEqual(conversationsOf(sent), once)));
});
