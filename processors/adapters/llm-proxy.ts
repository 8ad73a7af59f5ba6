import type { Attributes, SpanRecorded } from "../../schemas/types.ts";
import { pythonLiteral } from "../traces/python-literal.ts";
import { readReward } from "../traces/rewards.ts";
import { spansById } from "../traces/tree.ts";
import { plainAttribute } from "./plain-attributes.ts";

/** A triplet of a proxy's trace: token ids alone. */
export type ProxyTriplet = {
  readonly prompt: { readonly token_ids: readonly number[] };
  readonly response: { readonly token_ids: readonly number[] };
  readonly reward: number | null;
  readonly metadata: { readonly response_id: string | null };
};

/** Why a span of an LLM call gave no triplet. */
export type ProxyOmission = {
  readonly span: SpanRecorded;
  readonly reason: "no-token-ids" | "duplicate";
  readonly detail: string;
};

/** A call that counts, and the reward that goes to it. */
export type ProxyCall = {
  readonly span: SpanRecorded;
  readonly triplet: ProxyTriplet;
  readonly rewardSpan: SpanRecorded | null;
};

/** What became of a proxy's trace. */
export type ProxyTrace = {
  readonly calls: readonly ProxyCall[];
  readonly omitted: readonly ProxyOmission[];
  /** Rewards that found no call. */
  readonly unmatched: readonly SpanRecorded[];
};

type Call = {
  readonly span: SpanRecorded;
  readonly promptIds: readonly number[];
  readonly responseIds: readonly number[];
  readonly responseId: string | null;
};

/**
 * The reference's `LlmProxyTraceToTriplet` (reference/v0.3-behaviour.md, 3.8): LiteLLM's
 * `raw_gen_ai_request` and `litellm_request` spans that have token ids, each response once, by
 * sequence id alone, since the clocks of proxies and agents need not agree. A reward goes to the
 * latest call before it that has none yet. Where a span that counts has no sequence id (the reference
 * always gives one), start times order all of them. Neither copies of spans nor the order of the list
 * count. O(n log n).
 *
 * @param between decides between spans of one place in that order; the reference leaves them as listed.
 */
export function readProxyTrace(
  spans: readonly SpanRecorded[],
  between: (a: SpanRecorded, b: SpanRecorded) => number = byId,
): ProxyTrace {
  const ordered = inOrder([...spansById(spans).values()], between);
  const kept: Call[] = [];
  const omitted: ProxyOmission[] = [];
  const seen = new Map<string, SpanRecorded>();
  for (const span of ordered) {
    const call = callOf(span);
    if (call === null) continue;
    const { responseId, promptIds, responseIds } = call;
    const first = responseId === null ? undefined : seen.get(responseId);
    if (promptIds.length === 0 || responseIds.length === 0) {
      const missing = promptIds.length === 0 ? "prompt" : "response";
      omitted.push({ span, reason: "no-token-ids", detail: `it has no ${missing} token ids` });
    } else if (first !== undefined) {
      const detail = `response ${responseId} is span ${first.span_id}'s`;
      omitted.push({ span, reason: "duplicate", detail });
    } else {
      kept.push(call);
      if (responseId !== null) seen.set(responseId, span);
    }
  }
  return { ...withRewards(kept, ordered), omitted };
}

/** The triplets of {@link readProxyTrace}, as the reference's adapter answers. */
export function proxyTriplets(...read: Parameters<typeof readProxyTrace>): readonly ProxyTriplet[] {
  return readProxyTrace(...read).calls.map(({ triplet }) => triplet);
}

function byId(a: SpanRecorded, b: SpanRecorded): number {
  return a.span_id < b.span_id ? -1 : 1;
}

type Rank = (span: SpanRecorded) => number;

function rankOf(spans: readonly SpanRecorded[]): Rank {
  const numbered = spans.every(({ sequence_id }) => sequence_id !== null);
  return numbered ? ({ sequence_id }) => sequence_id ?? 0 : ({ start_time }) => start_time;
}

function inOrder(
  spans: readonly SpanRecorded[],
  between: (a: SpanRecorded, b: SpanRecorded) => number,
): readonly SpanRecorded[] {
  const counted = spans.filter((span) => isRequest(span) || readReward(span).reward !== null);
  const rank = rankOf(counted);
  return counted.toSorted(
    (a, b) =>
      rank(a) - rank(b) ||
      a.start_time - b.start_time ||
      a.start_nanos - b.start_nanos ||
      between(a, b),
  );
}

/** Calls before a reward are a stack: the latest without a reward is on top. */
function withRewards(
  kept: readonly Call[],
  ordered: readonly SpanRecorded[],
): Pick<ProxyTrace, "calls" | "unmatched"> {
  const rank = rankOf(ordered);
  const matched = new Map<Call, readonly [SpanRecorded, number]>();
  const unmatched: SpanRecorded[] = [];
  const open: Call[] = [];
  let next = 0;
  for (const span of ordered) {
    const { reward } = readReward(span);
    if (reward === null) continue;
    for (let call = kept[next]; call !== undefined; call = kept[++next]) {
      if (rank(call.span) >= rank(span)) break;
      open.push(call);
    }
    const latest = open.pop();
    if (latest === undefined) unmatched.push(span);
    else matched.set(latest, [span, reward]);
  }
  return { calls: kept.map((call) => proxyCall(call, matched.get(call))), unmatched };
}

function proxyCall(call: Call, matched: readonly [SpanRecorded, number] | undefined): ProxyCall {
  const triplet = {
    prompt: { token_ids: call.promptIds },
    response: { token_ids: call.responseIds },
    reward: matched?.[1] ?? null,
    metadata: { response_id: call.responseId },
  };
  return { span: call.span, triplet, rewardSpan: matched?.[0] ?? null };
}

function isRequest({ name }: SpanRecorded): boolean {
  return name === "raw_gen_ai_request" || name === "litellm_request";
}

function callOf(span: SpanRecorded): Call | null {
  if (!isRequest(span)) return null;
  const { attributes } = span;
  const { strings } = attributes;
  const responseId = strings["gen_ai.response.id"] || strings["llm.hosted_vllm.id"] || null;
  if (span.name === "raw_gen_ai_request") return { span, ...idsOfRaw(attributes), responseId };
  const promptIds = idsIn(literal(attributes, "prompt_token_ids"));
  const responseIds = idsIn(literal(attributes, "response_token_ids"));
  return { span, promptIds, responseIds, responseId };
}

/** vLLM's own fields, which LiteLLM writes as Python prints them. */
function idsOfRaw(attributes: Attributes): Pick<Call, "promptIds" | "responseIds"> {
  const promptIds = idsIn(literal(attributes, "llm.hosted_vllm.prompt_token_ids"));
  const first = idsIn(firstOf(literal(attributes, "llm.hosted_vllm.response_token_ids")));
  if (first.length > 0) return { promptIds, responseIds: first };
  const choice = firstOf(literal(attributes, "llm.hosted_vllm.choices"));
  const isFields = typeof choice === "object" && choice !== null && "token_ids" in choice;
  return { promptIds, responseIds: idsIn(isFields ? choice.token_ids : undefined) };
}

function literal(attributes: Attributes, name: string): unknown {
  // Floats are no token ids, even whole ones.
  if (name in attributes.double_lists) return undefined;
  const value = plainAttribute(attributes, name);
  if (typeof value !== "string") return value;
  // Only lists are looked for; a tuple is none.
  return /^[ \t]*\[/.test(value) ? pythonLiteral(value) : undefined;
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined;
}

function idsIn(value: unknown): readonly number[] {
  const isIds = Array.isArray(value) && value.every((id) => Number.isSafeInteger(id));
  return isIds ? (value as number[]) : [];
}
