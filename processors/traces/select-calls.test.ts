import assert from "node:assert/strict";
import { test } from "node:test";
import { packInt32 } from "../../schemas/bytes.ts";
import type { SpanKept } from "../../schemas/types.ts";
import type { Selection } from "./selection.ts";
import { kept, keptCall, keptReward, traceOf } from "./trace-fixtures.ts";

/** Agent and policy of each call that counts, by span. */
function chosen(spans: readonly SpanKept[], selection: Partial<Selection> = {}) {
  return traceOf(spans, selection).calls.map(({ span, agent, policy }) => [
    span.span_id,
    agent,
    policy,
  ]);
}

function omitted(spans: readonly SpanKept[], selection: Partial<Selection> = {}) {
  return traceOf(spans, selection).omitted.map(({ span, agent, reason, detail }) => [
    span?.span_id,
    agent,
    reason,
    detail,
  ]);
}

const empty = { completion: '{"role":"assistant","content":null}' };

const twoAgents = [
  kept("root", 0, 100),
  kept("writer", 0, 40, { parent_id: "root", agent: "writer" }),
  keptCall("draft", 1, 10, { parent_id: "writer" }),
  kept("critic", 12, 30, { parent_id: "writer", agent: "critic" }),
  keptCall("review", 13, 20, { parent_id: "critic" }),
  keptCall("final", 31, 39, { parent_id: "writer" }),
  keptCall("outside", 50, 60, { parent_id: "root" }),
];

test("one agent is selected, what it called for others is not", () => {
  const selection = { agents: [{ match: "^writer$", policy: "w" }] };
  assert.deepEqual(chosen(twoAgents, selection), [
    ["draft", "writer", "w"],
    ["final", "writer", "w"],
  ]);
  assert.deepEqual(omitted(twoAgents, selection), [
    ["review", "critic", "not-selected", "read critic, asked for ^writer$"],
    ["outside", "", "not-selected", "read no agent, asked for ^writer$"],
  ]);
});

test("two agents of one rollout train two policies", () => {
  const agents = [
    { match: "writer", policy: "w" },
    { match: "critic", policy: "c" },
  ];
  assert.deepEqual(chosen(twoAgents, { agents }), [
    ["draft", "writer", "w"],
    ["review", "critic", "c"],
    ["final", "writer", "w"],
  ]);
});

test("without agents asked for every call counts, under the agent above it", () => {
  assert.deepEqual(chosen(twoAgents), [
    ["draft", "writer", ""],
    ["review", "critic", ""],
    ["final", "writer", ""],
    ["outside", "", ""],
  ]);
});

test("an agent's name on the call itself says nothing about that call", () => {
  const spans = [keptCall("own", 1, 2, { agent: "writer" })];
  const selection = { agents: [{ match: "writer", policy: "w" }] };
  assert.deepEqual(chosen(spans, selection), []);
  assert.deepEqual(chosen([...spans, keptCall("below", 1, 2, { parent_id: "own" })], selection), [
    ["below", "writer", "w"],
  ]);
});

test("calls whose names are not asked for are omitted, with the name read", () => {
  const spans = [keptCall("a", 1, 2), keptCall("b", 3, 4, { name: "embed" })];
  assert.deepEqual(chosen(spans, { calls: "chat\\.comp" }), [["a", "", ""]]);
  assert.deepEqual(omitted(spans, { calls: "chat\\.comp" }), [
    ["b", "", "not-a-wanted-call", "read embed"],
  ]);
});

test("a judge's calls are omitted with all of their copies, and count when asked for", () => {
  const spans = [
    kept("scope", 0, 50, { reward_scope: true }),
    keptCall("judge", 1, 2, { parent_id: "scope" }, { response_id: "j" }),
    keptCall("proxy's copy", 1, 2, {}, { response_id: "j" }),
    keptReward("graded", 3, 1),
    keptCall("below reward", 4, 5, { parent_id: "graded" }),
    keptCall("agent", 60, 70),
  ];
  const selection = { repair: false };
  assert.deepEqual(chosen(spans, selection), [["agent", "", ""]]);
  assert.deepEqual(omitted(spans, selection), [
    ["judge", "", "judge", "below reward scope"],
    ["proxy's copy", "", "judge", "below reward scope"],
    ["below reward", "", "judge", "below reward graded"],
  ]);
  assert.deepEqual(
    chosen(spans, { ...selection, judges: true }).map(([id]) => id),
    ["judge", "below reward", "agent"],
  );
});

test("a failed call and one that said nothing are omitted, a failed one that said something counts", () => {
  const spans = [
    keptCall("failed", 1, 2, {}, { ...empty, error: "429 too many requests" }),
    keptCall("cut off", 3, 4, {}, { error: "connection lost" }),
    keptCall("silent", 5, 6, {}, { ...empty, completion_tokens: 7 }),
    keptCall("tool", 7, 8, {}, { completion: '{"content":null,"tool_calls":[{"id":"1"}]}' }),
    keptCall("ids", 9, 10, {}, { ...empty, response_ids: packInt32([1]) }),
  ];
  assert.deepEqual(
    chosen(spans).map(([id]) => id),
    ["cut off", "tool", "ids"],
  );
  assert.deepEqual(omitted(spans), [
    ["failed", "", "failed", "429 too many requests"],
    ["silent", "", "empty-response", "the engine counted 7 tokens out"],
  ]);
});

test("of copies of a call the one that knows the tokens counts, for the agent of the other", () => {
  const spans = [
    kept("agent", 0, 9, { agent: "writer" }),
    keptCall("client", 1, 4, { parent_id: "agent" }, { response_id: "r" }),
    keptCall("proxy", 1, 4, {}, { response_id: "r", response_ids: packInt32([1]) }),
  ];
  const selection = { repair: false, agents: [{ match: "writer", policy: "w" }] };
  assert.deepEqual(chosen(spans, selection), [["proxy", "writer", "w"]]);
  assert.deepEqual(omitted(spans, selection), [
    ["client", "writer", "duplicate", "span proxy is the same call"],
  ]);
});

test("a copy outside of every agent does not take the call from its agent", () => {
  const spans = [
    keptCall("proxy", 1, 4, {}, { response_id: "r" }),
    kept("agent", 2, 9, { agent: "writer" }),
    keptCall("client", 2, 3, { parent_id: "agent" }, { response_id: "r" }),
  ];
  assert.deepEqual(chosen(spans, { repair: false }), [["proxy", "writer", ""]]);
});

test("copies that know the same are decided by the tree, the upper one counts", () => {
  const spans = [
    keptCall("z", 1, 9, {}, { response_id: "r" }),
    keptCall("a", 2, 8, { parent_id: "z" }, { response_id: "r" }),
  ];
  assert.deepEqual(chosen(spans), [["z", "", ""]]);
});

test("a call without an id inside a call is that call, beside it it is another one", () => {
  const spans = [
    keptCall("outer", 1, 9, {}, { response_id: null }),
    kept("between", 1, 9, { parent_id: "outer" }),
    keptCall("inner", 2, 8, { parent_id: "between" }, { response_id: null }),
    keptCall("other", 3, 7, { parent_id: "between" }, { response_id: "own id" }),
    keptCall("beside", 10, 12, {}, { response_id: null }),
  ];
  assert.deepEqual(
    chosen(spans).map(([id]) => id),
    ["outer", "other", "beside"],
  );
  assert.deepEqual(omitted(spans), [["inner", "", "duplicate", "span outer is the same call"]]);
});

test("samples of one prompt all stay: what a call is is its response, not its prompt", () => {
  const messages = '[{"role":"user","content":"2+2"}]';
  const samples = [1, 2, 3].map((i) => keptCall(`sample ${i}`, i, i + 1, {}, { messages }));
  assert.equal(chosen(samples).length, 3);
});

test("every choice of a call is a step, with its own tokens", () => {
  const choice = (id: number) => ({
    completion: `{"content":"${id}"}`,
    response_ids: packInt32([id]),
    logprobs: packInt32([0]),
    finish_reason: `${id}`,
  });
  const own = { ...choice(0), choices: [choice(1), choice(2)] };
  const { calls } = traceOf([keptCall("a", 1, 2, {}, own), keptReward("r", 3, 0.5)]);
  assert.deepEqual(
    calls.map(({ choice, reward, call }) => [
      choice,
      reward,
      call.finish_reason,
      call.completion,
      [...call.response_ids],
      call.choices,
    ]),
    [0, 1, 2].map((id) => [id, 0.5, `${id}`, `{"content":"${id}"}`, [id, 0, 0, 0], []]),
  );
});

test("tool calls kept as spans below a call are part of what it said, in order", () => {
  const toolOf = (id: string) => JSON.stringify({ id, type: "function" });
  const spans = [
    keptCall("call", 1, 9, {}, empty),
    kept("second", 5, 5, { parent_id: "call", tool: toolOf("2") }),
    kept("first", 4, 4, { parent_id: "call", tool: toolOf("1") }),
  ];
  const [call] = traceOf(spans).calls;
  assert.deepEqual(JSON.parse(call?.call.completion ?? "").tool_calls, [
    { id: "1", type: "function" },
    { id: "2", type: "function" },
  ]);
});
