import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "../../schemas/types.ts";
import { attributesOf, calledOf } from "./fixtures.ts";

type Event = readonly [name: string, attributes: Readonly<Record<string, unknown>>];

function chatWith(...given: readonly Event[]): Call {
  const events = given.map(([name, values]) => {
    const attributes = attributesOf(values);
    return { name, time: 0, nanos: 0, attributes, dropped_attributes: 0 };
  });
  return calledOf("chat m", { "gen_ai.operation.name": "chat" }, { events });
}

const look = { id: "c1", type: "function", function: { name: "look", arguments: "{}" } };

for (const [form, given] of [
  ["an object", { message: { content: "ho" } }],
  ["JSON text", { message: '{"role":"assistant","content":"ho"}' }],
  ["text", { message: "ho" }],
  ["fields", { "message.role": "assistant", "message.content": "ho" }],
  ["content", { content: "ho" }],
] as const) {
  test(`a choice whose message is ${form} is read`, () => {
    const call = chatWith(["gen_ai.choice", { index: 0, finish_reason: "stop", ...given }]);
    assert.deepEqual(JSON.parse(call.completion), { role: "assistant", content: "ho" });
    assert.equal(call.finish_reason, "stop");
  });
}

test("choices keep their places, also when their events come in another order", () => {
  const call = chatWith(
    ["gen_ai.choice", { index: 1, finish_reason: "length", message: "second" }],
    ["gen_ai.choice", { index: 0, finish_reason: "stop", message: "first" }],
  );
  assert.deepEqual(
    [call, ...call.choices].map((each) => [
      JSON.parse(each.completion).content,
      each.finish_reason,
    ]),
    [
      ["first", "stop"],
      ["second", "length"],
    ],
  );
});

test("messages have the role their event is named after, with tool calls and answers", () => {
  const call = chatWith(
    ["gen_ai.system.message", { content: "be brief" }],
    ["gen_ai.user.message", { content: "hi" }],
    ["gen_ai.assistant.message", { tool_calls: [look] }],
    ["gen_ai.tool.message", { content: "a cat", id: "c1" }],
    ["some.other.event", { content: "?" }],
    ["gen_ai.choice", { index: 0, tool_calls: JSON.stringify([look]) }],
  );
  assert.deepEqual(JSON.parse(call.messages), [
    { role: "system", content: "be brief" },
    { role: "user", content: "hi" },
    { role: "assistant", content: null, tool_calls: [look] },
    { role: "tool", content: "a cat", tool_call_id: "c1" },
  ]);
  assert.deepEqual(JSON.parse(call.completion).tool_calls, [look]);
});

test("events with whole lists are read when there are no others", () => {
  const call = chatWith(
    ["gen_ai.content.prompt", { "gen_ai.prompt": '[{"role":"user","content":"hi"}]' }],
    ["gen_ai.content.completion", { "gen_ai.completion": '[{"role":"assistant","content":"ho"}]' }],
  );
  assert.deepEqual(JSON.parse(call.messages), [{ role: "user", content: "hi" }]);
  assert.deepEqual(JSON.parse(call.completion), { role: "assistant", content: "ho" });
});
