import assert from "node:assert/strict";
import { test } from "node:test";
import type { Link, SpanKept } from "../../schemas/types.ts";
import type { Selection } from "./selection.ts";
import { kept, keptCall, keptReward, traceOf } from "./trace-fixtures.ts";

/** The reward of each call, by span, then the rewards no call got. */
function rewardsOf(spans: readonly SpanKept[], selection: Partial<Selection>) {
  const { calls, unmatched } = traceOf(spans, { repair: false, ...selection });
  return [
    Object.fromEntries(calls.map(({ span, reward }) => [span.span_id, reward])),
    unmatched.map(({ span_id }) => span_id),
  ];
}

function link(key: string, value: string): Link {
  return { key, value };
}

const calls = [keptCall("a", 1, 2), keptCall("b", 3, 4), keptCall("running", 4, 9)];

test("first-occurrence: to the latest started call done by then, the next one back to the call before", () => {
  const rewards = [5, 6, 7].map((at, i) => keptReward(`r${i}`, at, i + 1));
  assert.deepEqual(rewardsOf([...calls, ...rewards], { reward_match: "first-occurrence" }), [
    { a: 2, b: 1, running: null },
    ["r2"],
  ]);
});

test("first-occurrence: a reward at the very end of a call is its, before that it is not", () => {
  const rewardAt = (at: number) => rewardsOf([keptCall("a", 1, 5), keptReward("r", at, 1)], {})[0];
  assert.deepEqual([4, 5].map(rewardAt), [{ a: null }, { a: 1 }]);
});

test("first-occurrence: the last of two calls that were done exactly then, wherever in the tree", () => {
  const spans = [
    kept("early in the tree", 0, 50),
    keptReward("r", 9, 1, { parent_id: "early in the tree" }),
    kept("late in the tree", 1, 50),
    keptCall("a", 2, 9, { parent_id: "late in the tree" }),
    keptCall("b", 3, 9, { parent_id: "late in the tree" }),
  ];
  assert.deepEqual(rewardsOf(spans, {}), [{ a: null, b: 1 }, []]);
});

test("first-sibling: only calls beside the reward, listed before it", () => {
  const spans = [
    kept("p", 0, 50),
    kept("q", 0, 50),
    keptCall("a", 1, 2, { parent_id: "p" }),
    keptCall("b", 3, 4, { parent_id: "q" }),
    keptReward("r", 10, 1, { parent_id: "p" }),
    keptReward("s", 11, 2, { parent_id: "p" }),
    keptReward("t", 12, 3),
  ];
  assert.deepEqual(rewardsOf(spans, { reward_match: "first-sibling" }), [
    { a: 1, b: null },
    ["s", "t"],
  ]);
});

test("first-sibling: a copy of a call beside the reward stands for the call", () => {
  const spans = [
    kept("p", 0, 50),
    keptCall("client", 1, 4, { parent_id: "p" }, { response_id: "r", messages: "[]" }),
    keptCall("proxy", 1, 4, {}, { response_id: "r", policy_version: 3 }),
    keptReward("r", 10, 1, { parent_id: "p" }),
  ];
  assert.deepEqual(rewardsOf(spans, { reward_match: "first-sibling" }), [{ proxy: 1 }, []]);
});

test("link: to the call every link matches; what links nowhere, or to two calls, is unmatched", () => {
  const spans = [
    ...calls,
    keptReward("by id", 0, 1, { links: [link("gen_ai.response.id", "response a")] }),
    keptReward("by span", 0, 2, { links: [link("span_id", "b"), link("trace_id", "t")] }),
    keptReward("no link", 9, 4),
    keptReward("elsewhere", 9, 8, { links: [link("span_id", "x")] }),
    keptReward("torn", 9, 16, {
      links: [link("span_id", "a"), link("gen_ai.response.id", "response b")],
    }),
    keptReward("unknown key", 9, 32, { links: [link("span_id", "a"), link("colour", "red")] }),
  ];
  assert.deepEqual(rewardsOf(spans, { reward_match: "link" }), [
    { a: 1, b: 2, running: null },
    ["elsewhere", "no link", "torn", "unknown key"],
  ]);
});

test("link: a trace alone means its last call, and several rewards of one call add up", () => {
  const spans = [
    ...calls,
    keptReward("r", 10, 0.5, { links: [link("trace_id", "t")], rewards: { fmt: 1 } }),
    keptReward("s", 11, 0.25, { links: [link("span_id", "running")], rewards: { fmt: 2, len: 3 } }),
  ];
  const { calls: traced } = traceOf(spans, { reward_match: "link" });
  const last = traced.at(-1);
  assert.deepEqual(
    [last?.span.span_id, last?.reward, last?.rewards, last?.rewardSpans],
    ["running", 0.75, { fmt: 3, len: 3 }, ["r", "s"]],
  );
});

test("link and span: a choice is named by a link, one that does not exist gets nothing", () => {
  const choice = { completion: '{"content":"1"}', finish_reason: null };
  const ids = { response_ids: Buffer.alloc(4), logprobs: Buffer.alloc(0) };
  const call = keptCall("a", 1, 2, {}, { choices: [{ ...choice, ...ids }] });
  const rewardOf = (name: string, reward: number) =>
    keptReward(`choice ${name}`, 3, reward, {
      links: [link("span_id", "a"), link("lightning.choice", name)],
    });
  for (const reward_match of ["link", "span"] as const) {
    const spans = [call, rewardOf("0", 1), rewardOf("1", 2), rewardOf("2", 4), rewardOf("x", 8)];
    const { calls: traced, unmatched } = traceOf(spans, { reward_match });
    assert.deepEqual(
      [traced.map(({ reward }) => reward), unmatched.map(({ span_id }) => span_id)],
      [
        [1, 2],
        ["choice 2", "choice x"],
      ],
    );
  }
});

test("span: to the call whose span is named, else to the call the reward is a child of", () => {
  const spans = [
    ...calls,
    keptReward("named", 0, 1, { links: [link("span_id", "b")], parent_id: "a" }),
    keptReward("child", 0, 2, { parent_id: "a" }),
    keptReward("lost", 20, 4),
  ];
  assert.deepEqual(rewardsOf(spans, { reward_match: "span" }), [
    { a: 2, b: 1, running: null },
    ["lost"],
  ]);
});

test("turn: the k-th reward to the k-th call, whenever they were given", () => {
  const rewards = [20, 21, 22, 23].map((at, i) => keptReward(`r${i}`, at, i));
  assert.deepEqual(rewardsOf([...calls, ...rewards], { reward_match: "turn" }), [
    { a: 0, b: 1, running: 2 },
    ["r3"],
  ]);
});

test("final: only the last reward counts, for the last call", () => {
  const rewards = [keptReward("r", 5, 1), keptReward("s", 6, 2)];
  assert.deepEqual(rewardsOf([...calls, ...rewards], { reward_match: "final" }), [
    { a: null, b: null, running: 2 },
    ["r"],
  ]);
});

test("a reward is the weighted sum of its dimensions, the final one too", () => {
  const spans = [
    keptCall("a", 1, 2),
    keptReward("r", 3, 2, {
      reward_name: "accuracy",
      rewards: { fmt: 10, unwanted: 99, __proto__x: 1 },
    }),
  ];
  const rewardWith = (reward_weights: Selection["reward_weights"]) => {
    const { calls: traced, finalReward } = traceOf(spans, { reward_weights });
    assert.equal(traced[0]?.reward, finalReward?.reward);
    assert.deepEqual(finalReward?.rewards, { fmt: 10, unwanted: 99, __proto__x: 1 });
    return finalReward?.reward;
  };
  assert.deepEqual(
    [{}, { primary: 1 }, { primary: 0.5, fmt: 0.1 }, { fmt: 1 }, { missing: 1, toString: 1 }].map(
      rewardWith,
    ),
    [2, 2, 2, 10, 0],
  );
  assert.deepEqual(
    [{ accuracy: 3 }, { accuracy: 1, primary: 5 }, { accuracy: 1, fmt: 1 }].map(rewardWith),
    [6, 2, 12],
    "the first dimension under its own name",
  );
});
