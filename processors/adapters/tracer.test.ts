import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { firstDifference } from "../rows/difference.ts";
import { attributesOf, callOf, fromRecorded, rewardOf, spanOf } from "../traces/fixtures.ts";
import { tracerDeviation, tracerRules } from "./deviations.ts";
import { readTracerTrace, tripletsOfTrace } from "./tracer.ts";
import { parseTracerConfig } from "./tracer-config.ts";

type Recorded = {
  readonly name: string;
  readonly fn: string;
  readonly config: unknown;
  readonly spans: readonly Parameters<typeof fromRecorded>[0][];
  readonly expected?: unknown;
  readonly expected_error?: string;
};

const plain = parseTracerConfig({});

function casesOf(file: string): Recorded[] {
  const lines = readFileSync(new URL(`recorded/${file}`, import.meta.url), "utf8").split("\n");
  const cases = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Recorded);
  return cases.filter(({ fn }) => fn === "TracerTraceToTriplet.adapt");
}

/** What the command prints. */
function printed(spans: readonly SpanRecorded[], config: unknown): unknown {
  return JSON.parse(JSON.stringify(tripletsOfTrace(spans, parseTracerConfig(config))));
}

/** The rules by which our answer differs; null: none explains it; empty: it is the same. */
function differenceOf({ spans: recorded, config, expected, expected_error }: Recorded) {
  const spans = recorded.map(fromRecorded);
  const actual = answerOf(() => printed(spans, config));
  const error = expected_error ?? "";
  if (actual === refused) return expected_error === undefined ? null : [];
  if (expected_error === undefined && firstDifference(actual, expected) === null) return [];
  const answer = expected_error === undefined ? { value: expected } : { error };
  return tracerDeviation(spans, parseTracerConfig(config), answer, actual);
}

const refused = Symbol("refused");

function answerOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof LightningError && error.code === "record-invalid");
    return refused;
  }
}

test("every recorded case gives the reference's triplets, or others by a stated rule", () => {
  const met = new Map<string, number>();
  // The second file: random and odd traces of our own, answered by agentlightning 0.3.0.
  for (const recorded of [
    ...casesOf("v03_adapter_cases.jsonl"),
    ...casesOf("v03_adapter_cases_more.jsonl"),
  ]) {
    const rules = differenceOf(recorded);
    assert.ok(rules !== null, `${recorded.name} differs and no rule says why`);
    const name = rules.length === 0 ? "same" : rules.map((rule) => rule.name).join(" + ");
    met.set(name, (met.get(name) ?? 0) + 1);
  }
  assert.ok((met.get("same") ?? 0) > 200, "most are the same");
  const rules = new Set([...met.keys()].flatMap((name) => name.split(" + ")));
  const unused = tracerRules.filter(({ name }) => !rules.has(name)).map(({ name }) => name);
  assert.deepEqual(unused, ["H4 several absent parents"]);
});

test("a case whose triplets are wrong fails: no rule explains a token id or a reward of one's own", () => {
  const [first] = casesOf("v03_adapter_cases.jsonl").filter(({ name }) => name === "random_0");
  assert.ok(first !== undefined);
  const expected = JSON.parse(JSON.stringify(first.expected));
  expected[0].prompt.token_ids.push(7);
  assert.equal(differenceOf({ ...first, expected }), null);
  const rewarded = JSON.parse(JSON.stringify(first.expected));
  rewarded[0].reward = 77;
  assert.equal(differenceOf({ ...first, expected: rewarded }), null);
});

test("the order of triplets below several absent parents is anybody's guess, what they say is not", () => {
  const spans = ["a", "b"].map((id, i) => callOf(id, i, i + 0.5, { parent_id: `absent ${id}` }));
  const actual = printed(spans, {});
  const value = JSON.parse(JSON.stringify(actual)).reverse();
  const names = tracerDeviation(spans, plain, { value }, actual)?.map(({ name }) => name);
  assert.deepEqual(names, ["H4 several absent parents"]);
  value[0].response.token_ids = [];
  assert.equal(tracerDeviation(spans, plain, { value }, actual), null);
});

test("a real trace of the AgentOps tracer gives the reference's triplets", () => {
  const read = (file: string): unknown =>
    JSON.parse(readFileSync(new URL(`../traces/recorded/${file}`, import.meta.url), "utf8"));
  const spans = (read("v03_live_agentops_spans.json") as Recorded["spans"]).map(fromRecorded);
  const expected = read("v03_live_agentops_triplets.json");
  assert.equal(firstDifference(printed(spans, {}), expected), null);
});

test("the order of spans and copies of them change no triplet", () => {
  for (const { spans: recorded, config } of casesOf("v03_adapter_cases.jsonl")) {
    const spans = recorded.map(fromRecorded);
    const other = [...spans, ...spans.slice(0, 3)].reverse();
    assert.deepEqual(printed(other, config), printed(spans, config));
  }
});

test("a machine's clock that is ten minutes off changes no triplet", () => {
  for (const { spans: recorded, config } of casesOf("v03_adapter_cases.jsonl")) {
    const skewed = (skew: number) =>
      recorded.map(fromRecorded).map((span, i) => {
        const add = i % 2 === 0 ? 0 : skew;
        return {
          ...span,
          resource: attributesOf({ "host.name": `host ${i % 2}` }),
          start_time: span.start_time + add,
          end_time: span.end_time + add,
        };
      });
    assert.deepEqual(printed(skewed(600_000_000), config), printed(skewed(0), config));
  }
});

test("several agents are routed to their policies, and a triplet says which", () => {
  const spans = [
    spanOf("writer", 0, 9, { attributes: { "agent.name": "writer" } }),
    callOf("draft", 1, 2, { parent_id: "writer" }),
    spanOf("critic", 10, 19, { attributes: { "agent.name": "critic" } }),
    callOf("review", 11, 12, { parent_id: "critic" }),
  ];
  const agents = [
    { match: "writer", policy: "w" },
    { match: "critic", policy: "c" },
  ];
  assert.deepEqual(
    tripletsOfTrace(spans, parseTracerConfig({ agents })).map(({ metadata }) => [
      metadata.agent_name,
      metadata.policy,
    ]),
    [
      ["writer", "w"],
      ["critic", "c"],
    ],
  );
});

test("spans that are calls by their name and give no triplet are named with the reason", () => {
  const spans = [
    spanOf("root", 0, 99),
    callOf("a", 1, 2, { parent_id: "root", attributes: { "gen_ai.response.id": "r" } }),
    callOf("copy", 3, 4, { parent_id: "root", attributes: { "gen_ai.response.id": "r" } }),
    callOf("bare", 5, 6, { parent_id: "root", attributes: { response_token_ids: [] } }),
    rewardOf("graded", 7, 1, { parent_id: "root" }),
    callOf("judge", 8, 9, { parent_id: "graded" }),
    rewardOf("lost", 0.5, 1, { parent_id: "root" }),
  ];
  const config = parseTracerConfig({ _skip_empty_token_spans: true });
  const { calls, omitted, unmatched } = readTracerTrace(spans, config);
  assert.deepEqual(
    calls.map(({ span, rewardSpans }) => [span.span_id, rewardSpans.map((r) => r.span_id)]),
    [["a", ["graded"]]],
  );
  assert.deepEqual(
    omitted.map(({ span, reason }) => [span.span_id, reason]),
    [
      ["copy", "duplicate"],
      ["bare", "no-token-ids"],
      ["judge", "judge"],
    ],
  );
  assert.deepEqual(
    unmatched.map((span) => span.span_id),
    ["lost"],
  );
});

test("a final reward stands in the last triplet, whatever was matched", () => {
  const spans = [callOf("a", 1, 2), callOf("b", 3, 4), rewardOf("r", 5, 0.5)];
  const rewards = (final_reward: number | null) =>
    tripletsOfTrace(spans, parseTracerConfig({ final_reward })).map(({ reward }) => reward);
  assert.deepEqual(
    [rewards(null), rewards(0)],
    [
      [null, 0.5],
      [null, 0],
    ],
  );
});

test("what a span says too much or in another form is left out, and nothing raises", () => {
  const part = (image_url: unknown) => ({ type: "image_url", image_url });
  const content = JSON.stringify([part({ url: "u" }), part("v"), { type: "text" }, 5]);
  const span = callOf("a", 1, 2, {
    attributes: {
      "gen_ai.prompt.0.content": content,
      "gen_ai.prompt.prompt_filter_results": "[]",
      "gen_ai.completion.1.content": "gap",
      prompt_token_ids: "[1, 2]",
      response_token_ids: [1.5],
      "logprobs.content": "no json",
    },
  });
  const [triplet] = tripletsOfTrace([span], plain);
  assert.deepEqual(triplet?.prompt.image_urls, ["u"]);
  assert.deepEqual([triplet?.prompt.token_ids, triplet?.response.token_ids], [[], []]);
  assert.ok(!Array.isArray(triplet?.prompt.raw_content));
  assert.equal(triplet?.response.logprobs, undefined);
});

test("a config that cannot be is refused, naming the key", () => {
  const refusals: [unknown, RegExp][] = [
    [[], /^config: read \[\], must be an object/],
    [{ agent: "a" }, /^config: read "agent", must be one of the keys agent_match, llm_call_match/],
    [{ agent_match: "(" }, /selection\.agents\.0\.match: read \(/],
    [{ agent_match: 5 }, /selection\.agents\.0\.match: read 5/],
    [{ reward_match: "first" }, /selection\.reward_match: read first/],
    [{ exclude_llm_call_in_reward: "no" }, /selection\.judges: read no/],
    [{ repair_hierarchy: 1 }, /selection\.repair: read 1/],
    [{ _skip_empty_token_spans: 1 }, /^config\._skip_empty_token_spans: read 1/],
    [{ final_reward: "1" }, /^config\.final_reward: read "1"/],
  ];
  for (const [config, message] of refusals) {
    assert.throws(
      () => parseTracerConfig(config),
      (error) =>
        error instanceof LightningError &&
        error.code === "request-invalid" &&
        message.test(error.message),
    );
  }
  assert.equal(
    parseTracerConfig({ agent_match: null, reward_match: "first_sibling" }).selection.reward_match,
    "first-sibling",
  );
});

test("no spans are an error, as in the reference", () => {
  assert.throws(() => tripletsOfTrace([], plain), /spans: there are none/);
});
