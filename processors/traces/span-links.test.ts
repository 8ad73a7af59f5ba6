import assert from "node:assert/strict";
import { test } from "node:test";
import type { RewardedSpan, SpanKept, SpanLink } from "../../schemas/types.ts";
import { attributesOf, callOf, rewardOf } from "./fixtures.ts";
import { readSpan } from "./read-span.ts";
import type { RewardMatch } from "./selection.ts";
import { kept, keptCall, keptReward, traceOf } from "./trace-fixtures.ts";

/** The reward of each choice of each call, by span, then the rewards no call got. */
function rewardsOf(spans: readonly SpanKept[], reward_match: RewardMatch): unknown {
  const { calls, unmatched } = traceOf(spans, { repair: false, reward_match });
  return [
    Object.fromEntries(
      calls.map(({ span, choice, reward }) => [`${span.span_id}${choice}`, reward]),
    ),
    unmatched.map(({ span_id }) => span_id),
  ];
}

function to(span_id: string, trace_id = "t", choice: string | null = null): RewardedSpan {
  return { trace_id, span_id, choice };
}

const calls = [keptCall("a", 1, 2), keptCall("b", 3, 4), kept("tool", 5, 6)];
const byLink: readonly RewardMatch[] = ["link", "span"];

test("link and span: a reward goes to the call its span links to, be it over or not", () => {
  const spans = [...calls, keptReward("r", 0, 1, { span_links: [to("a")] })];
  for (const match of byLink) assert.deepEqual(rewardsOf(spans, match), [{ a0: 1, b0: null }, []]);
});

test("a link to an unknown span changes nothing, nor one to a known span in another trace, or to no call", () => {
  const strange = [to("gone"), to("a", "other trace"), to("tool"), to("a", "")];
  for (const span_links of [strange, [...strange, to("b")], [to("b"), ...strange]]) {
    for (const parent_id of [null, "a", "gone"]) {
      const without = span_links.filter(({ span_id }) => span_id === "b");
      for (const match of [...byLink, "first-occurrence", "final"] as const) {
        const rewarded = (links: RewardedSpan[]): unknown =>
          rewardsOf([...calls, keptReward("r", 9, 1, { parent_id, span_links: links })], match);
        assert.deepEqual(rewarded(span_links), rewarded(without));
      }
    }
  }
});

test("of several linked calls the last one gets the reward, in whatever order they are named", () => {
  for (const span_links of [
    [to("a"), to("b")],
    [to("b"), to("a")],
  ]) {
    const spans = [...calls, keptReward("r", 9, 1, { span_links })];
    for (const match of byLink)
      assert.deepEqual(rewardsOf(spans, match), [{ a0: null, b0: 1 }, []]);
  }
});

test("what agentlightning.link says comes before links of the span, and these before the parent", () => {
  const reward = (fields: Partial<SpanKept>): SpanKept[] => [
    ...calls,
    keptReward("r", 9, 1, fields),
  ];
  const said = { links: [{ key: "span_id", value: "a" }], span_links: [to("b")] };
  for (const match of byLink) {
    assert.deepEqual(rewardsOf(reward(said), match), [{ a0: 1, b0: null }, []]);
    const wrong = { ...said, links: [{ key: "span_id", value: "gone" }] };
    assert.deepEqual(rewardsOf(reward(wrong), match), [{ a0: null, b0: null }, ["r"]]);
    const both = { parent_id: "a", span_links: [to("b")] };
    assert.deepEqual(rewardsOf(reward(both), match), [{ a0: null, b0: 1 }, []]);
  }
});

test("a link to a copy of a call, by the copy's own ids, is one to the call", () => {
  const spans = [
    keptCall("client", 1, 4, { trace_id: "c" }, { response_id: "r", messages: "[]" }),
    keptCall("proxy", 1, 4, { trace_id: "p" }, { response_id: "r", policy_version: 3 }),
  ];
  for (const [ids, given] of [
    [to("client", "c"), 1],
    [to("client", "p"), null],
  ] as const) {
    const reward = keptReward("r", 10, 1, { span_links: [ids] });
    for (const match of byLink) {
      assert.deepEqual(rewardsOf([...spans, reward], match), [
        { proxy0: given },
        given === null ? ["r"] : [],
      ]);
    }
  }
});

test("a link names a choice by its own attribute, unless the reward names one", () => {
  const ids = { response_ids: Buffer.alloc(4), logprobs: Buffer.alloc(0) };
  const second = { completion: '{"content":"1"}', finish_reason: null, ...ids };
  const call = keptCall("a", 1, 2, {}, { choices: [second] });
  const links = [{ key: "lightning.choice", value: "0" }];
  const spans = [
    call,
    keptReward("r", 3, 1, { span_links: [to("a", "t", "1")] }),
    keptReward("s", 3, 2, { span_links: [to("a", "t", "1")], links }),
    keptReward("x", 3, 4, { span_links: [to("a", "t", "2")] }),
  ];
  for (const match of byLink) assert.deepEqual(rewardsOf(spans, match), [{ a0: 2, a1: 1 }, ["x"]]);
});

test("links are read from spans as OpenTelemetry has them, of rewards alone", () => {
  const at = { partition: 0, offset: 0, timestamp: 0 };
  const link = (span_id: string, values: Readonly<Record<string, unknown>>): SpanLink => ({
    trace_id: "t",
    span_id,
    trace_state: "",
    attributes: attributesOf(values),
    dropped_attributes: 0,
  });
  const links = [link("a", { colour: "red" }), link("b", { "lightning.choice": 0 })];
  const spans = [
    callOf("a", 1, 2, { links }),
    callOf("b", 3, 4),
    rewardOf("r", 5, 0.5, { links: links.slice(0, 1) }),
    rewardOf("s", 6, 0.25, { links }),
  ].map((span) => readSpan(span, at));
  assert.deepEqual(
    spans.map(({ span_links }) => span_links),
    [[], [], [to("a")], [to("a"), to("b", "t", "0")]],
  );
  assert.deepEqual(rewardsOf(spans, "link"), [{ a0: 0.5, b0: 0.25 }, []]);
});
