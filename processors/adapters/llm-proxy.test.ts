import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { packFloat64 } from "../../schemas/bytes.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { rewardOf, spanOf } from "../traces/fixtures.ts";
import { proxyTriplets, readProxyTrace } from "./llm-proxy.ts";

type Attributes = Readonly<Record<string, unknown>>;

const rawOf = (id: string, sequence_id: number | null, attributes: Attributes, at = 0) =>
  spanOf(id, at, at + 1, { name: "raw_gen_ai_request", sequence_id, attributes });

const idsOf = (token: number): Attributes => ({
  "llm.hosted_vllm.prompt_token_ids": `[${token}, 0]`,
  "llm.hosted_vllm.choices": `[{'token_ids': [${token}], 'finish_reason': 'stop', 'x': None}]`,
});

const givenAt = (id: string, sequence_id: number | null, value: number, at = 0): SpanRecorded =>
  rewardOf(id, at, value, { sequence_id });

const rewards = (spans: readonly SpanRecorded[]) =>
  proxyTriplets(spans).map(({ reward }) => reward);

test("token ids are read from the text Python prints, the first response before its choices", () => {
  const responses = { "llm.hosted_vllm.response_token_ids": "[[7, 8], [9]]" };
  const [first, second] = proxyTriplets([
    rawOf("a", 1, { ...idsOf(1), ...responses }),
    rawOf("b", 2, idsOf(2)),
  ]);
  assert.deepEqual(first?.response.token_ids, [7, 8]);
  assert.deepEqual([second?.prompt.token_ids, second?.response.token_ids], [[2, 0], [2]]);
});

for (const [why, attributes] of [
  ["is cut off", { ...idsOf(1), "llm.hosted_vllm.prompt_token_ids": "[1," }],
  ["is a tuple", { ...idsOf(1), "llm.hosted_vllm.prompt_token_ids": "(1, 2)" }],
  ["holds words", { ...idsOf(1), "llm.hosted_vllm.prompt_token_ids": "['a']" }],
  ["is empty", { ...idsOf(1), "llm.hosted_vllm.prompt_token_ids": "[]" }],
] as const) {
  test(`a call whose list of prompt ids ${why} gives no triplet, and says so`, () => {
    const { calls, omitted } = readProxyTrace([rawOf("a", 1, attributes)]);
    assert.deepEqual(calls, []);
    assert.deepEqual(
      omitted.map(({ reason, detail }) => [reason, detail]),
      [["no-token-ids", "it has no prompt token ids"]],
    );
  });
}

test("numbers that were sent as floats are no token ids", () => {
  const span = spanOf("a", 1, 2, {
    name: "litellm_request",
    sequence_id: 1,
    attributes: { response_token_ids: [1] },
  });
  const double_lists = { prompt_token_ids: packFloat64([1, 2]) };
  const floats = { ...span, attributes: { ...span.attributes, double_lists } };
  assert.deepEqual(proxyTriplets([floats]), []);
});

test("sequence ids order calls and rewards, whatever the clocks say", () => {
  const spans = [
    rawOf("late", 2, idsOf(2), 100),
    rawOf("early", 1, idsOf(1), 200),
    givenAt("r", 3, 0.5, 0),
  ];
  assert.deepEqual(
    proxyTriplets(spans).map(({ prompt, reward }) => [prompt.token_ids[0], reward]),
    [
      [1, null],
      [2, 0.5],
    ],
  );
});

test("start times order all where one that counts has no sequence id", () => {
  const spans = [
    rawOf("b", null, idsOf(2), 20),
    rawOf("a", 9, idsOf(1), 10),
    givenAt("r", 1, 0.5, 15),
    spanOf("other", 0, 1, { sequence_id: null }),
  ];
  assert.deepEqual(
    proxyTriplets(spans).map(({ prompt, reward }) => [prompt.token_ids[0], reward]),
    [
      [1, 0.5],
      [2, null],
    ],
  );
});

test("a reward goes to the latest call strictly before it that has none, zero being a reward", () => {
  const calls = [rawOf("a", 1, idsOf(1)), rawOf("b", 4, idsOf(2))];
  assert.deepEqual(rewards([...calls, givenAt("r", 4, 1)]), [1, null]);
  assert.deepEqual(rewards([...calls, givenAt("r", 6, 0)]), [null, 0]);
  assert.deepEqual(rewards([...calls, givenAt("r", 6, 2), givenAt("s", 7, 3)]), [3, 2]);
  const { unmatched } = readProxyTrace([...calls, givenAt("r", 1, 1)]);
  assert.deepEqual(
    unmatched.map(({ span_id }) => span_id),
    ["r"],
  );
});

test("a response seen twice counts once, at its first span; the other says of which it is a copy", () => {
  const id = { "gen_ai.response.id": "x" };
  const { calls, omitted } = readProxyTrace([
    rawOf("a", 1, { ...idsOf(1), "llm.hosted_vllm.id": "x" }),
    spanOf("b", 1, 2, {
      name: "litellm_request",
      sequence_id: 2,
      attributes: { prompt_token_ids: [1], response_token_ids: [2], ...id },
    }),
    rawOf("c", 3, idsOf(3)),
    rawOf("d", 4, idsOf(3)),
  ]);
  assert.deepEqual(
    calls.map(({ span }) => span.span_id),
    ["a", "c", "d"],
  );
  assert.deepEqual(
    omitted.map(({ detail }) => detail),
    ["response x is span a's"],
  );
});

const anySpan = fc
  .record({
    kind: fc.constantFrom("call", "reward", "no-ids", "other"),
    response: fc.option(fc.integer({ min: 0, max: 3 }), { nil: null }),
    sequence: fc.integer({ min: 0, max: 8 }),
    at: fc.integer({ min: 0, max: 5 }),
  })
  .map((drawn) => drawn);

type Drawn = typeof anySpan extends fc.Arbitrary<infer T> ? T : never;

function spanFor({ kind, response, sequence, at }: Drawn, i: number): SpanRecorded {
  const id = `s${i}`;
  const named = response === null ? {} : { "llm.hosted_vllm.id": `r${response}` };
  if (kind === "reward") return givenAt(id, sequence, i, at);
  if (kind === "call") return rawOf(id, sequence, { ...idsOf(i), ...named }, at);
  if (kind === "no-ids") return rawOf(id, sequence, named, at);
  return spanOf(id, at, at, { sequence_id: sequence });
}

test("each request is a call or omitted, each reward matched once or unmatched", () => {
  fc.assert(
    fc.property(fc.array(anySpan, { maxLength: 30 }), (drawn) => {
      const spans = drawn.map(spanFor);
      const { calls, omitted, unmatched } = readProxyTrace(spans);
      const told = [...calls, ...omitted].map(({ span }) => span.span_id).sort();
      const requests = spans.filter(({ name }) => name === "raw_gen_ai_request");
      assert.deepEqual(told, requests.map(({ span_id }) => span_id).sort());
      const given = calls.flatMap(({ rewardSpan }) => (rewardSpan === null ? [] : [rewardSpan]));
      const all = [...given, ...unmatched].map(({ span_id }) => span_id).sort();
      const rewarding = spans.filter(({ name }) => name === "agentlightning.annotation");
      assert.deepEqual(all, rewarding.map(({ span_id }) => span_id).sort());
    }),
  );
});

test("the order in which spans are listed does not count where each has its own sequence id", () => {
  const lists = fc.array(anySpan, { maxLength: 20 });
  fc.assert(
    fc.property(lists, fc.infiniteStream(fc.nat()), (drawn, keys) => {
      const spans = drawn.map((one, i) => spanFor({ ...one, sequence: i }, i));
      const shuffled = spans
        .map((span) => ({ span, key: keys.next().value }))
        .sort((a, b) => a.key - b.key)
        .map(({ span }) => span);
      assert.deepEqual(proxyTriplets(shuffled), proxyTriplets(spans));
    }),
  );
});

test("neither the order of the list nor copies of spans change the triplets", () => {
  const span = fc.tuple(fc.boolean(), fc.nat(3), fc.nat(2), fc.nat(3));
  const spans = fc.array(span, { maxLength: 10 }).map((all) =>
    all.map(([isCall, sequence, at, token], i) => {
      const id = `s${i}`;
      return isCall ? rawOf(id, sequence, idsOf(token), at) : givenAt(id, sequence, token, at);
    }),
  );
  const sent = spans.chain((all) =>
    fc.tuple(
      fc.constant(all),
      fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length }),
    ),
  );
  fc.assert(
    fc.property(sent, ([once, again]) => {
      assert.deepEqual(proxyTriplets(again), proxyTriplets(once));
    }),
  );
});
