import type { SpanKept } from "../../schemas/types.ts";
import type { SelectedCall } from "./select-calls.ts";

/** A call in its place, with the reward that goes to it. */
export type MatchedCall = SelectedCall & { readonly reward: SpanKept | null };

export type Timeline = {
  /** In order of the rule below. */
  readonly calls: readonly MatchedCall[];
  /** The last reward of all; null when there is none. */
  readonly finalReward: SpanKept | null;
};

type Moment = { readonly call: SelectedCall; readonly rank: number; readonly doneAt: number };

/**
 * Puts the calls and rewards of an attempt in order and gives each reward to a call.
 *
 * Order of calls, and which reward is the last: by sequence id when every one has its own; else by
 * start time, then span id.
 *
 * Matching is the reference's FIRST_OCCURRENCE (reference/v0.3-behaviour.md, 3.6), by time: a reward
 * goes to the latest started call that was done when it was given and has none yet; a call holds one
 * reward, what finds no call is dropped. O(n log n) however calls overlap.
 */
export function timelineOf(calls: readonly SelectedCall[], rewards: readonly SpanKept[]): Timeline {
  const byTime = calls.toSorted((a, b) => byStart(a.span, b.span));
  const matched = firstOccurrence(byTime, rewards.toSorted(byStart));
  const numbered = areNumbered(calls.map(({ span }) => span));
  const ordered = numbered ? byTime.toSorted((a, b) => bySequence(a.span, b.span)) : byTime;
  const lastBy = areNumbered(rewards) ? bySequence : byStart;
  return {
    calls: ordered.map((call) => ({ ...call, reward: matched.get(call) ?? null })),
    finalReward: rewards.toSorted(lastBy).at(-1) ?? null,
  };
}

function firstOccurrence(
  calls: readonly SelectedCall[],
  rewards: readonly SpanKept[],
): Map<SelectedCall, SpanKept> {
  const waiting = calls
    .map(
      (call, rank): Moment => ({
        call,
        rank,
        doneAt: Math.max(call.span.start_time, call.span.end_time),
      }),
    )
    .sort((a, b) => a.doneAt - b.doneAt || a.rank - b.rank);
  /** Calls done and without a reward, by rank. */
  const open: Moment[] = [];
  const matched = new Map<SelectedCall, SpanKept>();
  let next = 0;
  for (const reward of rewards) {
    for (let done = waiting[next]; done !== undefined; done = waiting[next]) {
      if (done.doneAt > reward.start_time) break;
      insertByRank(open, done);
      next++;
    }
    const latest = open.pop();
    if (latest !== undefined) matched.set(latest.call, reward);
  }
  return matched;
}

/** Calls mostly end in the order they started, so this is mostly a push. */
function insertByRank(open: Moment[], moment: Moment): void {
  let low = 0;
  let high = open.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((open[middle]?.rank ?? 0) < moment.rank) low = middle + 1;
    else high = middle;
  }
  open.splice(low, 0, moment);
}

function areNumbered(spans: readonly SpanKept[]): boolean {
  const numbers = new Set(spans.map((span) => span.sequence_id));
  return !numbers.has(null) && numbers.size === spans.length;
}

function bySequence(a: SpanKept, b: SpanKept): number {
  return (a.sequence_id ?? 0) - (b.sequence_id ?? 0);
}

function byStart(a: SpanKept, b: SpanKept): number {
  return (
    a.start_time - b.start_time || (a.span_id < b.span_id ? -1 : Number(a.span_id > b.span_id))
  );
}
