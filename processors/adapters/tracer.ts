import { LightningError } from "../../schemas/errors.ts";
import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { onOneClock, type TimedSpan } from "../traces/clocks.ts";
import { matchRewards } from "../traces/match-rewards.ts";
import { repair } from "../traces/repair.ts";
import {
  type GrowingNode,
  inOrder,
  placed,
  spansById,
  type TraceNode,
  treeOf,
} from "../traces/tree.ts";
import { weighAll } from "../traces/weigh-rewards.ts";
import { type FoundCall, findCalls, type TracerOmission } from "./find-calls.ts";
import { lightSpan } from "./light-span.ts";
import type { TracerConfig } from "./tracer-config.ts";
import type { Triplet } from "./triplet.ts";

/** A call that gives a triplet, and the rewards that went to it. */
export type TracerCall = {
  readonly span: SpanRecorded;
  readonly triplet: Triplet;
  readonly rewardSpans: readonly SpanRecorded[];
};

/** What became of a tracer's trace. */
export type TracerTrace = {
  readonly root: TraceNode;
  /** In order. */
  readonly calls: readonly TracerCall[];
  readonly omitted: readonly TracerOmission[];
  /** Rewards that found no call. */
  readonly unmatched: readonly SpanRecorded[];
};

/** How a trace is read where we differ from the reference; deviations.ts reads it the other way. */
export type Reading = {
  /** Spans, as often as sent, in the order in which they become children and rewards are met. */
  readonly order: (spans: readonly SpanKept[]) => readonly TimedSpan[];
  readonly repair: (root: GrowingNode) => void;
  /** Calls, from the order of the tree to that of the triplets. */
  readonly arrange: (calls: readonly FoundCall[]) => readonly FoundCall[];
};

/** Ours: neither the order of the list nor copies of spans nor clocks count, and no call is lost. */
export const ours: Reading = {
  order: (spans) => inOrder(onOneClock(spans)),
  repair,
  arrange: (calls) => inOrder(calls.map(timedCall)).map(({ call }) => call),
};

/**
 * The reference's `TracerTraceToTriplet` (reference/v0.3-behaviour.md, 3.1 to 3.7), with what it
 * loses (H6, H20, circles) and triplets in the order in which the calls happened (H7). Of spans with
 * one response id the first in the tree counts, as there. O(n log n).
 *
 * @throws LightningError record-invalid when there are no spans.
 */
export function readTracerTrace(
  spans: readonly SpanRecorded[],
  config: TracerConfig,
  reading: Reading = ours,
): TracerTrace {
  const recorded = spansById(spans);
  const ordered = reading.order([...recorded.values()].map(lightSpan));
  const root = treeOf(ordered);
  if (root === null) throw new LightningError("record-invalid", "spans: there are none");
  if (config.selection.repair) reading.repair(root);
  const nodes = placed(root);
  const { found, omitted } = findCalls(nodes, recorded, config);
  const calls = reading.arrange(found);
  const rewards = inOrder(ordered.filter(({ span }) => span.reward !== null));
  const matter = {
    calls,
    copies: new Map(calls.map((call) => [call.span.span_id, call])),
    rewards: rewards.map(({ span }) => span),
    nodes,
  };
  const { given, unmatched } = matchRewards(matter, config.selection.reward_match);
  const matched = calls.map((call, i): TracerCall => {
    const own = (given.get(call) ?? []).map(({ span }) => span);
    const final = i === calls.length - 1 ? config.finalReward : null;
    const reward = final ?? weighAll(own, config.selection.reward_weights);
    const triplet = { ...call.triplet, reward };
    return { span: call.recorded, triplet, rewardSpans: recordedOf(own, recorded) };
  });
  return { root, calls: matched, omitted, unmatched: recordedOf(unmatched, recorded) };
}

/** The triplets alone. */
export function tripletsOfTrace(
  spans: readonly SpanRecorded[],
  config: TracerConfig,
  reading: Reading = ours,
): Triplet[] {
  return readTracerTrace(spans, config, reading).calls.map(({ triplet }) => triplet);
}

function recordedOf(
  spans: readonly SpanKept[],
  recorded: ReadonlyMap<string, SpanRecorded>,
): SpanRecorded[] {
  return spans.flatMap(({ span_id }) => recorded.get(span_id) ?? []);
}

function timedCall(call: FoundCall): TimedSpan & { readonly call: FoundCall } {
  const { start, end } = call.node;
  return { span: call.span, start, end, call };
}
