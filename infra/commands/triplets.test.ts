import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { LightningError } from "../../schemas/errors.ts";
import { answerTo } from "./triplets.ts";

const folder = mkdtempSync(join(tmpdir(), "lightning-triplets-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const recorded = (name: string): string =>
  fileURLToPath(new URL(`../../processors/traces/recorded/v03_live_${name}.json`, import.meta.url));
const valueIn = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));

let files = 0;
function fileOf(value: unknown): string {
  const file = join(folder, `${files++}.json`);
  writeFileSync(file, JSON.stringify(value));
  return file;
}

async function output(...args: string[]): Promise<{ out: string; said: string }> {
  const { lines, remarks } = await answerTo(args);
  return { out: [...lines].join("\n"), said: [...remarks].join("\n") };
}

const spans = valueIn(recorded("agentops_spans")) as Readonly<Record<string, unknown>>[];

describe("lightning triplets", () => {
  test("makes of a real tracer's trace what the reference makes of it, saying nothing more", async () => {
    const { out, said } = await output(recorded("agentops_spans"));
    assert.deepEqual(JSON.parse(out), valueIn(recorded("agentops_triplets")));
    assert.equal(said, "");
  });

  test("makes of a real proxy's trace what the reference makes of it", async () => {
    const { out } = await output(recorded("llmproxy_spans"), "--adapter", "llm-proxy");
    assert.deepEqual(JSON.parse(out), valueIn(recorded("llmproxy_triplets")));
  });

  test("prints messages, one conversation per line", async () => {
    const { out } = await output(
      recorded("agentops_spans"),
      "--adapter",
      "messages",
      "--format",
      "jsonl",
    );
    const printed = out.split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(printed, valueIn(recorded("agentops_messages")));
  });

  test("reads a config from a file or from the command line, with the reference's keys or ours", async () => {
    const everything = { exclude_llm_call_in_reward: false };
    const file = recorded("agentops_spans");
    const ways = [fileOf(everything), JSON.stringify(everything), '{"judges": true}'];
    for (const config of ways) {
      const { out } = await output(file, "--config", config);
      assert.equal(JSON.parse(out).length, 4, config);
    }
  });

  test("gives a reward to the call its span links to, as OTLP carries links", async () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const ids = { "agentlightning.rollout_id": "ro", "agentlightning.attempt_id": "at" };
    const spanOf = (i: number, name: string, said: object, more: object = {}): object => ({
      traceId,
      spanId: `b7ad6b716920333${i}`,
      name,
      startTimeUnixNano: `${i}000000000`,
      endTimeUnixNano: `${i}500000000`,
      attributes: Object.entries({ ...ids, ...said }).map(([key, value]) => ({
        key,
        value: typeof value === "number" ? { doubleValue: value } : { stringValue: value },
      })),
      ...more,
    });
    const call = (i: number): object =>
      spanOf(i, "openai.chat.completion", { "gen_ai.response.id": `response ${i}` });
    const reward = spanOf(
      3,
      "agentlightning.annotation",
      { "agentlightning.reward.0.name": "primary", "agentlightning.reward.0.value": 0.5 },
      { links: [{ traceId, spanId: "b7ad6b7169203331" }] },
    );
    const spansOf = [call(1), call(2), reward];
    const file = fileOf({ resourceSpans: [{ scopeSpans: [{ spans: spansOf }] }] });
    const rewards = async (...args: string[]): Promise<unknown[]> =>
      (JSON.parse((await output(file, ...args)).out) as { reward: unknown }[]).map(
        (triplet) => triplet.reward,
      );
    assert.deepEqual(await rewards(), [null, 0.5]);
    assert.deepEqual(await rewards("--config", '{"reward_match": "link"}'), [0.5, null]);
  });

  test("keeps attempts apart when there are several, and takes one when asked to", async () => {
    const file = fileOf([...spans, ...spans.map((span) => ({ ...span, attempt_id: "second" }))]);
    const { out } = await output(file);
    const attempts = JSON.parse(out) as { attempt_id: string; triplets: unknown[] }[];
    assert.deepEqual(
      attempts.map(({ attempt_id, triplets }) => [attempt_id, triplets.length]),
      [
        ["at-87c45d98", 3],
        ["second", 3],
      ],
    );
    const lines = (await output(file, "--format", "jsonl")).out.split("\n");
    assert.equal(JSON.parse(lines[5] ?? "{}").attempt_id, "second");
    const one = await output(file, "--attempt", "second");
    assert.deepEqual(JSON.parse(one.out), valueIn(recorded("agentops_triplets")));
  });

  test("makes triplets of 1.0 events, every sample of a prompt when asked to", async () => {
    const answer = (id: string) => ({ id, prompt_token_ids: [1], choices: [{ token_ids: [2] }] });
    const file = fileOf([
      { event_type: "model_request", data: { response: answer("a") } },
      { event_type: "model_request", data: { response: answer("b") } },
      { event_type: "reward", data: { value: 0.5 } },
    ]);
    const rewards = async (...more: string[]) =>
      JSON.parse((await output(file, ...more)).out).map(
        ({ reward }: { reward: unknown }) => reward,
      );
    assert.deepEqual(await rewards(), [0.5]);
    assert.deepEqual(await rewards("--config", '{"dedup": "call"}'), [null, 0.5]);
    const { said } = await output(file, "--explain");
    assert.match(said, /3 events, 2 model requests, 1 triplets; last reward 0\.5\n.*1 × duplicate/);
  });

  test("says when there is nothing, and how to learn why", async () => {
    const none = await output(fileOf([]));
    assert.deepEqual([none.out, /there are no spans/.test(none.said)], ["[]", true]);
    const { out, said } = await output(recorded("llmproxy_spans"));
    assert.deepEqual([out, said], ["[]", "lightning: no triplets; --explain says why"]);
  });

  for (const [args, message] of [
    [[], /read 0 files, allowed is one/],
    [["a", "b"], /read 2 files, allowed is one/],
    [["a", "--adapter", "x"], /--adapter is "x", allowed are tracer, llm-proxy, messages, events/],
    [["a", "--format", "x"], /--format is "x", allowed are json, jsonl, text/],
    [["a", "--config", "{oops"], /--config is no JSON/],
    [["a", "--config", "/no/such"], /--config \/no\/such: /],
    [
      [recorded("agentops_spans"), "--config", '{"agent": 1}'],
      /config: read "agent", must be one of/,
    ],
    [
      [recorded("agentops_spans"), "--adapter", "messages", "--config", '{"a": 1}'],
      /config has "a", the adapter messages takes no config/,
    ],
    [[recorded("agentops_spans"), "--adapter", "events"], /read 34 spans and 0 events/],
  ] as const) {
    test(`says what is wrong: ${message.source}`, async () => {
      await assert.rejects(answerTo(args), (error) => {
        assert.ok(error instanceof LightningError, String(error));
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

const spanOf = (span_id: string, parent_id: string | null, name: string, more: object) => ({
  rollout_id: "r",
  attempt_id: "a",
  span_id,
  parent_id,
  name,
  start_time: 1,
  end_time: 2,
  attributes: {},
  ...more,
});

describe("the explanation", () => {
  test("draws the tree, with why each call has its triplet or none, and where each reward went", async () => {
    const { said, out } = await output(recorded("agentops_spans"), "--explain");
    assert.equal(JSON.parse(out).length, 3);
    for (const line of [
      /^└─ demo\.session b58eb6d5291f4c04$/m,
      /^ {3}├─ openai\.chat\.completion 9581f2319809c332 {2}call → triplet 0 \(response chatcmpl-1, agent \*, reward 0\.25 of de9f678dad445bb9\)$/m,
      /^ {3}│ {2}└─ POST .*\(put here by its times\)$/m,
      /openai\.chat\.completion 71706f8c1b14bb9c {2}call → no triplet: judge: below reward 6edb6fc877b3d58b$/m,
      /agentlightning\.annotation 76ef406982b38ae7 {2}reward 1 \(fmt 0\.5\) → triplet 2$/m,
      /^34 spans, 3 triplets, 2 rewards, 0 without a call$/m,
      /^calls without a triplet: 1 × judge$/m,
    ]) {
      assert.match(said, line);
    }
    const alone = await output(recorded("agentops_spans"), "--format", "text");
    assert.deepEqual([alone.out, alone.said], [said, ""]);
  });

  test("names calls whose names were not asked for, and agents that were not", async () => {
    const proxy = await output(recorded("llmproxy_spans"), "--format", "text");
    assert.match(proxy.out, /raw_gen_ai_request \w+ {2}call → no triplet: not-a-wanted-call: /);
    const agents = await output(
      recorded("agentops_spans"),
      "--config",
      '{"agent_match":"x"}',
      "--format",
      "text",
    );
    assert.match(agents.out, /call → no triplet: not-selected: read no agent/);
  });

  test("of a proxy's trace says which spans have no token ids and which rewards no call", async () => {
    const reward = { "agentlightning.reward.0.name": "x", "agentlightning.reward.0.value": 1 };
    const file = fileOf([
      spanOf("a", null, "litellm_request", { sequence_id: 2 }),
      spanOf("b", null, "agentlightning.annotation", { sequence_id: 1, attributes: reward }),
    ]);
    const { out } = await output(file, "--adapter", "llm-proxy", "--format", "text");
    assert.equal(
      out,
      "2  litellm_request a → no triplet: no-token-ids: it has no prompt token ids\n1  agentlightning.annotation b  reward → no call",
    );
  });

  test("draws a chain of five thousand spans in little space, and lets nothing steer a terminal", async () => {
    const chain = Array.from({ length: 5000 }, (_, i) =>
      spanOf(`s${i}`, i === 0 ? null : `s${i - 1}`, i === 7 ? "red \u001b[31m" : "x", {}),
    );
    const { out } = await output(fileOf(chain), "--format", "text");
    const lines = out.split("\n");
    assert.equal(lines.length, 5002);
    assert.ok(out.length < 1_000_000, `${out.length} characters`);
    assert.doesNotMatch(out.replaceAll("\n", ""), /\p{Cc}/u);
  });
});
