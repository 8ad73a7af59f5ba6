import { shortHash } from "../../processors/lifecycle/short-hash.ts";
import {
  bytesField,
  exportRequest,
  fixed64Field,
  keyValues,
  varintField,
} from "../../producers/gateway/otlp/testing.ts";

/** What the rollouts of a bench look like. */
export type Shape = {
  /** Spans of a rollout, LLM calls and the reward included; at least 4. */
  readonly spans: number;
  /** Token ids of a call: prompt and response. */
  readonly promptTokens: number;
  readonly responseTokens: number;
};

export const smallShape: Shape = { spans: 10, promptTokens: 50, responseTokens: 20 };
export const longShape: Shape = { spans: 10, promptTokens: 1500, responseTokens: 500 };

/** The OTLP request of one rollout with room for its ids, and how many LLM calls it makes. */
export type Template = {
  readonly bytes: Buffer;
  readonly rolloutAt: number;
  readonly attemptAt: number;
  readonly calls: number;
};

/** As long as what {@link rolloutIdOf} makes. */
const rolloutHole = `ro-${"R".repeat(12)}`;

export function rolloutIdOf(run: string, index: number): string {
  return `ro-${shortHash(`${run}/${index}`)}`;
}

type Groups = { readonly run: string; readonly rollouts: number; readonly groupSize: number };

/** The group of a rollout; the last one is as large as what is left. */
export function groupOf({ run, rollouts, groupSize }: Groups, index: number) {
  const group = Math.floor(index / groupSize);
  const group_size = Math.min(groupSize, rollouts - group * groupSize);
  return { group_id: `${run}-${group}`, group_size };
}

/** Random numbers that are the same in every run (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;

const hexDigits = (random: Random, digits: number): string =>
  Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join("");

/** Text of about this length that compresses like text: words of a small vocabulary. */
function prose(random: Random, length: number): string {
  let text = "";
  while (text.length < length) {
    const word = Math.floor(random() ** 2 * 600);
    text += `${word.toString(36)}${"eaoiu"[word % 5]}${(word * 7).toString(36)} `;
  }
  return text.slice(0, length);
}

const integers = (random: Random, count: number): bigint[] =>
  Array.from({ length: count }, () => BigInt(Math.floor(random() * 150_000)));

/** Ten attributes, about 1 kB in all: what an instrumented tool or HTTP call carries. */
function plainAttributes(random: Random): Record<string, unknown> {
  return {
    "http.request.method": "POST",
    "http.response.status_code": 200n,
    "url.full": `http://10.0.0.7:8000/tools/${hexDigits(random, 8)}`,
    "gen_ai.tool.name": "get_rooms_and_availability",
    "gen_ai.tool.call.arguments": prose(random, 180),
    "gen_ai.tool.call.result": prose(random, 420),
    "server.address": "10.0.0.7",
    "code.function.name": "room_selector.get_rooms",
    "retry.count": 0n,
    "queue.seconds": random(),
  };
}

function callAttributes(random: Random, shape: Shape): Record<string, unknown> {
  const response = integers(random, shape.responseTokens);
  return {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "policy",
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": prose(random, shape.promptTokens * 4),
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": prose(random, shape.responseTokens * 4),
    "gen_ai.completion.0.finish_reason": "stop",
    prompt_token_ids: integers(random, shape.promptTokens),
    response_token_ids: response,
    logprobs: response.map(() => -random() * 3),
  };
}

const rewardAttributes = (random: Random): Record<string, unknown> => ({
  "agentlightning.reward.0.name": "primary",
  "agentlightning.reward.0.value": random(),
});

function span(
  random: Random,
  trace: string,
  at: number,
  name: string,
  attributes: Readonly<Record<string, unknown>>,
): Buffer {
  const start = 1_760_000_000_000_000_000n + BigInt(at) * 1_000_000n;
  return Buffer.concat([
    bytesField(1, Buffer.from(trace, "hex")),
    bytesField(2, Buffer.from(hexDigits(random, 15).padEnd(16, "1"), "hex")),
    bytesField(5, name),
    varintField(6, 1),
    fixed64Field(7, start),
    fixed64Field(8, start + 500_000n),
    keyValues(9, attributes),
  ]);
}

/** What a span of a rollout says, whatever carries it. */
export type SpanText = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
};

/** A rollout with one LLM call, or two when `seed` is odd, tools in between and a reward at its end. */
function* spansOf(random: Random, shape: Shape, calls: number): Generator<SpanText> {
  for (let i = 0; i < shape.spans; i++) {
    if (i === shape.spans - 1) {
      yield { name: "agentlightning.annotation", attributes: rewardAttributes(random) };
    } else if (i < calls) {
      yield { name: "openai.chat.completion", attributes: callAttributes(random, shape) };
    } else yield { name: "tool.call", attributes: plainAttributes(random) };
  }
}

/** The spans of {@link template} for those who send them otherwise. */
export function spanTexts(shape: Shape, seed: number): readonly SpanText[] {
  return [...spansOf(randomFrom(seed), shape, 1 + (seed % 2))];
}

/** @param attemptDigits of an attempt's id behind `at-`. */
export function template(shape: Shape, seed: number, attemptDigits = 12): Template {
  const random = randomFrom(seed);
  const trace = hexDigits(random, 31).padEnd(32, "1");
  const calls = 1 + (seed % 2);
  const spans: Buffer[] = [];
  for (const { name, attributes } of spansOf(random, shape, calls)) {
    spans.push(span(random, trace, spans.length, name, attributes));
  }
  return { ...withHoles(spans, attemptDigits), calls };
}

function withHoles(spans: readonly Buffer[], attemptDigits = 12): Omit<Template, "calls"> {
  const attemptHole = `at-${"A".repeat(attemptDigits)}`;
  const bytes = exportRequest(spans, {
    "service.name": "bench",
    "agentlightning.rollout_id": rolloutHole,
    "agentlightning.attempt_id": attemptHole,
  });
  return { bytes, rolloutAt: bytes.indexOf(rolloutHole), attemptAt: bytes.indexOf(attemptHole) };
}

export function templates(shape: Shape, count: number): readonly Template[] {
  return Array.from({ length: count }, (_, seed) => template(shape, seed));
}

export type Ids = { readonly rolloutId: string; readonly attemptId: string };

/** The OTLP request of several rollouts: requests one behind the other are one request. */
export function filled(parts: readonly (readonly [Template, Ids])[]): Buffer {
  const body = Buffer.concat(parts.map(([{ bytes }]) => bytes));
  let start = 0;
  for (const [{ bytes, rolloutAt, attemptAt }, ids] of parts) {
    body.write(ids.rolloutId, start + rolloutAt, "latin1");
    body.write(ids.attemptId, start + attemptAt, "latin1");
    start += bytes.length;
  }
  return body;
}

/** An OTLP request of 100 plain spans of 10 rollouts. */
export function ingestBody(seed: number): Buffer {
  const random = randomFrom(seed);
  const parts = Array.from({ length: 10 }, (_, r) => {
    const trace = hexDigits(random, 31).padEnd(32, "1");
    const spans = Array.from({ length: 10 }, (_, i) =>
      span(random, trace, i, "tool.call", plainAttributes(random)),
    );
    const ids = { rolloutId: rolloutIdOf(`ingest${seed}`, r), attemptId: `at-${shortHash(trace)}` };
    return [{ ...withHoles(spans), calls: 0 }, ids] as const;
  });
  return filled(parts);
}
