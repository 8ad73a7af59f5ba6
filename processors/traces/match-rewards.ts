import type { SpanKept } from "../../schemas/types.ts";
import type { Matter, RewardableCall } from "./rewardable.ts";
import type { RewardMatch } from "./selection.ts";
import { choiceKey, spanLinkedCalls } from "./span-links.ts";
import type { TraceNode } from "./tree.ts";

/** A reward that goes to a call: to all of its choices, or to the one a link names. */
export type GivenReward = { readonly span: SpanKept; readonly choice: number | null };

export type MatchedRewards<C extends RewardableCall> = {
  readonly given: ReadonlyMap<C, readonly GivenReward[]>;
  /** Rewards no call was found for, in the order given. */
  readonly unmatched: readonly SpanKept[];
};

type Give<C extends RewardableCall> = (call: C, reward: SpanKept, choice?: number) => void;
type Rule = <C extends RewardableCall>(matter: Matter<C>, give: Give<C>) => void;

/**
 * Gives each reward of a trace to a call, by one of these rules; what they leave is `unmatched`.
 *
 * - `first-occurrence`: to the call that started last among those done when the reward was given
 *   and without one yet (reference/v0.3-behaviour.md, 3.6). A call holds one reward.
 * - `first-sibling`: the same among the calls beside the reward, in the order of the tree.
 * - `link`: to the call all `agentlightning.link.*` of the reward match, by `trace_id`, `span_id` and
 *   `gen_ai.response.id`; to the last of several. No other key matches anything. A reward without any
 *   goes to the call that the links of its span name (OpenTelemetry's, by trace and span id; those to
 *   spans that are no call of the attempt do not count), to the last of several.
 * - `span`: to the call whose span the reward names, by an `agentlightning.link.*` with key `span_id`;
 *   without one, by the links of its span; without one to a call, to the call it is a child of.
 * - `turn`: the k-th reward to the k-th call.
 * - `final`: the last reward to the last call.
 *
 * With `link` and `span` a call may get several rewards, which add up, and a link with key
 * `lightning.choice`, or else that attribute of the span link that counted, gives a reward to one
 * choice alone. Copies of a call stand for it.
 * O(n log n).
 */
export function matchRewards<C extends RewardableCall>(
  matter: Matter<C>,
  match: RewardMatch,
): MatchedRewards<C> {
  const given = new Map<C, GivenReward[]>();
  const matched = new Set<SpanKept>();
  rules[match](matter, (call, span, choice) => {
    matched.add(span);
    const before = given.get(call) ?? [];
    given.set(call, before);
    before.push({ span, choice: choice ?? null });
  });
  return { given, unmatched: matter.rewards.filter((span) => !matched.has(span)) };
}

const rules: Readonly<Record<RewardMatch, Rule>> = {
  "first-occurrence": ({ nodes, calls }, give) => {
    const callAt = callsByPlace(calls, nodes.length);
    const relevant = nodes.filter((node) => isRelevant(node, callAt));
    // Stable: what starts together stays in the order of the tree.
    relevant.sort((a, b) => a.start - b.start);
    giveInTurn(relevant, callAt, give);
  },
  "first-sibling": ({ nodes, copies }, give) => {
    for (const { children } of nodes) {
      if (children.length < 2) continue;
      const callAt = (node: TraceNode) => copies.get(node.id);
      const relevant = children.filter((node) => isRelevant(node, callAt));
      giveInTurn(relevant, callAt, give);
    }
  },
  link: (matter, give) => {
    const find = linkedCalls(matter.calls, matter.copies);
    const findBySpan = spanLinkedCalls(matter);
    for (const reward of matter.rewards) {
      const call = find(reward);
      if (call !== undefined) giveChoice(call, reward, give);
      if (reward.links.some(({ key }) => key !== choiceKey)) continue;
      const linked = findBySpan(reward);
      if (linked !== undefined) giveChoice(linked.call, reward, give, linked.choice);
    }
  },
  span: (matter, give) => {
    const findBySpan = spanLinkedCalls(matter);
    for (const reward of matter.rewards) {
      const said = reward.links.find(({ key }) => key === "span_id")?.value;
      const linked = said === undefined ? findBySpan(reward) : undefined;
      const call = linked?.call ?? matter.copies.get(said ?? reward.parent_id ?? "");
      if (call !== undefined) giveChoice(call, reward, give, linked?.choice);
    }
  },
  turn: ({ calls, rewards }, give) => {
    rewards.forEach((reward, k) => {
      const call = calls[k];
      if (call !== undefined) give(call, reward);
    });
  },
  final: ({ calls, rewards }, give) => {
    const [call, reward] = [calls.at(-1), rewards.at(-1)];
    if (call !== undefined && reward !== undefined) give(call, reward);
  },
};

/** The call that a node is; looked up by place, which of large traces costs less than by id. */
function callsByPlace<C extends RewardableCall>(
  calls: readonly C[],
  places: number,
): (node: TraceNode) => C | undefined {
  const byPlace = new Array<C | undefined>(places).fill(undefined);
  for (const call of calls) byPlace[call.node.place] = call;
  return ({ place }) => byPlace[place];
}

function isRelevant(node: TraceNode, callAt: (node: TraceNode) => unknown): boolean {
  return node.span !== null && (node.span.reward !== null || callAt(node) !== undefined);
}

/** Walks calls and rewards in order; a reward goes to the last call met, done and without one. */
function giveInTurn<C extends RewardableCall>(
  nodes: readonly TraceNode[],
  callAt: (node: TraceNode) => C | undefined,
  give: Give<C>,
): void {
  const open = openCalls(nodes.length);
  const rewarded = new Set<C>();
  nodes.forEach((node, at) => {
    const { span, start, end } = node;
    if (span === null) return;
    if (callAt(node) !== undefined) wait(open, at, end);
    if (span.reward === null) return;
    for (let found = takeLast(open, start); found >= 0; found = takeLast(open, start)) {
      const last = nodes[found];
      const call = last === undefined ? undefined : callAt(last);
      if (call === undefined || rewarded.has(call)) continue;
      rewarded.add(call);
      give(call, span);
      break;
    }
  });
}

/** Calls waiting for a reward, by their places in a walk: a tree of earliest ends, in an array. */
function openCalls(places: number): number[] {
  let size = 1;
  while (size < places) size *= 2;
  return new Array<number>(2 * size).fill(Infinity);
}

/** The call at this place waits from its end on; with Infinity it waits no longer. */
function wait(ends: number[], place: number, end: number): void {
  let at = ends.length / 2 + place;
  ends[at] = end;
  for (at >>= 1; at > 0; at >>= 1) {
    ends[at] = Math.min(ends[2 * at] ?? Infinity, ends[2 * at + 1] ?? Infinity);
  }
}

/** The last place whose call ended by then, which no longer waits; -1 when there is none. */
function takeLast(ends: number[], time: number): number {
  if ((ends[1] ?? Infinity) > time) return -1;
  const size = ends.length / 2;
  let at = 1;
  while (at < size) at = (ends[2 * at + 1] ?? Infinity) <= time ? 2 * at + 1 : 2 * at;
  wait(ends, at - size, Infinity);
  return at - size;
}

function giveChoice<C extends RewardableCall>(
  call: C,
  reward: SpanKept,
  give: Give<C>,
  linked: string | null = null,
): void {
  const named = reward.links.find(({ key }) => key === choiceKey)?.value ?? linked;
  if (named === null) give(call, reward);
  else if (/^\d{1,9}$/.test(named) && Number(named) <= call.call.choices.length) {
    give(call, reward, Number(named));
  }
}

/** Finds the last call that all links of a reward match. */
function linkedCalls<C extends RewardableCall>(
  calls: readonly C[],
  copies: ReadonlyMap<string, C>,
): (reward: SpanKept) => C | undefined {
  const byResponse = new Map(calls.map((call) => [call.call.response_id, call]));
  const byTrace = new Map(calls.map((call) => [call.span.trace_id, call]));
  return ({ links }) => {
    const said = links.filter(({ key }) => key !== choiceKey);
    const linked = (name: string) => said.find(({ key }) => key === name)?.value;
    const [span, response, trace] = ["span_id", "gen_ai.response.id", "trace_id"].map(linked);
    const call =
      span !== undefined
        ? copies.get(span)
        : response !== undefined
          ? byResponse.get(response)
          : byTrace.get(trace ?? "");
    if (call === undefined || said.length === 0) return undefined;
    const matches = said.every(({ key, value }) => {
      if (key === "span_id") return copies.get(value) === call;
      if (key === "gen_ai.response.id") return call.call.response_id === value;
      return key === "trace_id" && call.span.trace_id === value;
    });
    return matches ? call : undefined;
  };
}
