import assert from "node:assert/strict";
import { test } from "node:test";
import { spanOf } from "./fixtures.ts";
import { readSpan } from "./read-span.ts";
import { keptCall, traceOf } from "./trace-fixtures.ts";

type Json = Readonly<Record<string, unknown>>;

const thought = { type: "reasoning", summary: [{ type: "summary_text", text: "look it up" }] };
const asks = { type: "function_call", call_id: "call_1", name: "rooms", arguments: '{"at":10}' };
const says = {
  type: "message",
  role: "assistant",
  content: [{ type: "output_text", text: "Let me see." }],
};
const answer = { type: "function_call_output", call_id: "call_1", output: "A1, B2" };

const at = { partition: 0, offset: 0, timestamp: 0 };

/** The messages of each call of a trace whose calls are these, in order. */
function traced(events: readonly [Json, Json][]): unknown[] {
  const spans = events.map(([asked, said], i) =>
    spanOf(`s${i}`, i, i + 0.5, {
      name: "model_request",
      attributes: { request: asked, response: { object: "response", ...said } },
    }),
  );
  const { calls } = traceOf(spans.reverse().map((span) => readSpan(span, at)));
  return calls.map(({ call }) => JSON.parse(call.messages));
}

test("a conversation continued by previous_response_id reads as one that is sent again", () => {
  const first: [Json, Json] = [
    { instructions: "one", input: "hi" },
    { id: "r1", output: [asks] },
  ];
  const output = [thought, says];
  const stateful = traced([
    first,
    [
      { instructions: "two", input: [answer], previous_response_id: "r1" },
      { id: "r2", output },
    ],
    [
      { input: "bye", previous_response_id: "r2" },
      { id: "r3", output },
    ],
  ]);
  const hi = { role: "user", content: "hi" };
  const bye = { role: "user", content: "bye" };
  const stateless = traced([
    first,
    [
      { instructions: "two", input: [hi, asks, answer] },
      { id: "r2", output },
    ],
    [{ input: [hi, asks, answer, ...output, bye] }, { id: "r3", output }],
  ]);
  assert.deepEqual(stateful, stateless);
  assert.equal((stateful[2] as unknown[]).length, 5);
});

test("what a response continues stays a reference when its call is not in the attempt, or in a circle", () => {
  const reference = (id: string): Json => ({
    role: "user",
    content: [{ type: "previous_response", id }],
  });
  const hi = { role: "user", content: "hi" };
  const said = { role: "assistant", content: "Let me see." };
  const asked = (id: string): Json => ({ input: "hi", previous_response_id: id });
  const output = [says];
  assert.deepEqual(traced([[asked("gone"), { id: "r1", output }]]), [[reference("gone"), hi]]);
  assert.deepEqual(
    traced([
      [asked("r2"), { id: "r1", output }],
      [asked("r1"), { id: "r2", output }],
    ]),
    [
      [reference("r2"), hi, said, hi, said, hi],
      [reference("r1"), hi, said, hi, said, hi],
    ],
  );
});

test("of the copies of a call the one that knows its messages is continued", () => {
  const hi = '[{"role":"user","content":"hi"}]';
  const { calls } = traceOf([
    keptCall("proxy", 1, 2, {}, { response_id: "r1" }),
    keptCall("client", 1, 2, {}, { response_id: "r1", messages: hi }),
    keptCall("next", 3, 4, {}, { previous_response_id: "r1" }),
  ]);
  const next = calls.find(({ span }) => span.span_id === "next");
  assert.deepEqual(JSON.parse(next?.call.messages ?? ""), [
    { role: "user", content: "hi" },
    { role: "assistant", content: "yes" },
  ]);
});
