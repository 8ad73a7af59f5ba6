import type { Call, SpanKept } from "../../schemas/types.ts";
import { onOneClock, type TimedSpan } from "./clocks.ts";
import { continuing } from "./continued.ts";
import { type GivenReward, matchRewards } from "./match-rewards.ts";
import type { Omission } from "./omissions.ts";
import { repair } from "./repair.ts";
import { type SelectedCall, selectCalls } from "./select-calls.ts";
import type { Selection } from "./selection.ts";
import { distinctSpans, inOrder, placed, type TraceNode, treeOf } from "./tree.ts";
import { weigh, weighAll } from "./weigh-rewards.ts";

/** One choice of a call that becomes a step. */
export type TracedCall = {
  readonly span: SpanKept;
  /** The call as if this choice were its only one. */
  readonly call: Call;
  readonly choice: number;
  /** Nearest agent above it; empty when there is none. */
  readonly agent: string;
  readonly policy: string;
  readonly reward: number | null;
  readonly rewards: Readonly<Record<string, number>>;
  /** Spans of the rewards that went to it. */
  readonly rewardSpans: readonly string[];
};

/** The last reward of an attempt. */
export type FinalReward = {
  readonly reward: number;
  readonly rewards: Readonly<Record<string, number>>;
  readonly span: SpanKept;
};

/** What the spans of an attempt say. */
export type Trace = {
  readonly root: TraceNode | null;
  /** In order; the choices of a call one after the other. */
  readonly calls: readonly TracedCall[];
  readonly omitted: readonly Omission[];
  readonly finalReward: FinalReward | null;
  /** Rewards that found no call, in order. */
  readonly unmatched: readonly SpanKept[];
};

type Weights = Selection["reward_weights"];

/**
 * The calls of an attempt that count, with their rewards, and why each other call does not.
 *
 * Which is below which is said by parents and, where these say too little, by time (tree.ts,
 * repair.ts); which comes after which by sequence ids, where each has its own, else by time
 * (`inOrder`); what was done when a reward was given, by time. Times are first put on one clock
 * (clocks.ts). So neither the order of spans nor copies of them nor how far the clocks of machines
 * are apart change the result. O(n log n).
 */
export function readTrace(spans: readonly SpanKept[], selection: Selection): Trace {
  const timed = inOrder(onOneClock(distinctSpans(spans)));
  const root = treeOf(timed);
  if (root !== null && selection.repair) repair(root);
  const nodes = root === null ? [] : placed(root);
  const kept = timed.map(({ span }) => span);
  const selected = selectCalls(nodes, kept, selection);
  const calls = inOrder(selected.calls.map(timedCall));
  const rewards = inOrder(timed.filter(({ span }) => span.reward !== null)).map(({ span }) => span);
  const ordered = calls.map(({ call }) => call);
  const { copies } = selected;
  const matter = { calls: ordered, copies, rewards, nodes };
  const { given, unmatched } = matchRewards(matter, selection.reward_match);
  const weights = selection.reward_weights;
  const whole = continuing(kept);
  return {
    root,
    calls: ordered.flatMap((call) =>
      choicesOf(call, whole(call.call), given.get(call) ?? [], weights),
    ),
    omitted: kept.some(({ call }) => call !== null) ? selected.omitted : [noCalls],
    finalReward: finalOf(rewards.at(-1), weights),
    unmatched,
  };
}

const noCalls: Omission = {
  span: null,
  agent: "",
  reason: "no-calls",
  detail: "no span is an LLM call of a known convention",
};

function timedCall(call: SelectedCall): TimedSpan & { readonly call: SelectedCall } {
  const { start, end } = call.node;
  return { span: call.span, start, end, call };
}

function choicesOf(
  { span, agent, policy }: SelectedCall,
  call: Call,
  given: readonly GivenReward[],
  weights: Weights,
): TracedCall[] {
  const others = call.choices;
  const first = others.length === 0 ? call : { ...call, choices: [] };
  const choices = [first, ...others.map((choice) => ({ ...first, ...choice }))];
  return choices.map((own, choice) => {
    const rewards = given
      .filter((reward) => reward.choice === null || reward.choice === choice)
      .map((reward) => reward.span);
    return {
      span,
      call: own,
      choice,
      agent,
      policy,
      reward: weighAll(rewards, weights),
      rewards: sumByName(rewards),
      rewardSpans: rewards.map((reward) => reward.span_id),
    };
  });
}

function finalOf(span: SpanKept | undefined, weights: Weights): FinalReward | null {
  if (span === undefined) return null;
  return { reward: weigh(span, weights), rewards: span.rewards, span };
}

function sumByName(spans: readonly SpanKept[]): Record<string, number> {
  const [only, second] = spans;
  if (only !== undefined && second === undefined) return only.rewards;
  const total: Record<string, number> = {};
  for (const { rewards } of spans) {
    for (const [name, value] of Object.entries(rewards)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}
