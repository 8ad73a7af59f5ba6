import type { Request } from "../../../schemas/requests.ts";
import { keyOf } from "../../../schemas/topics.ts";
import type { RolloutChanged, SequenceRequested, SpanRecorded } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";
import { hexId } from "../ids.ts";

/** Counters kept for rollouts nobody has enqueued; the oldest are forgotten. */
const mostCounters = 10_000;

/** Span numbers of rollouts: the log hands them out, one after the other. */
export type Sequences = {
  /** The next number. For a rollout nobody knows, one of this gateway's own memory. */
  next(project: string, rolloutId: string, requestId: string): Promise<number>;
  /**
   * Numbers the spans that have none, in their order, by one request a rollout. Spans of unknown
   * rollouts stay without.
   *
   * @param alive by rollout id, the attempt to which the request is a sign of life as well.
   */
  number(
    project: string,
    spans: readonly SpanRecorded[],
    alive?: ReadonlyMap<string, string>,
  ): Promise<void>;
};

/**
 * Numbers that spans came with are in the span log: whoever asks for a number gets one above those
 * as well, so that storing a numbered span costs no request.
 */
export function createSequences(
  gateway: Pick<Gateway, "rollouts" | "history" | "spans" | "now">,
): Sequences {
  const { rollouts, history, spans: stored, now } = gateway;
  const counters = new Map<string, number>();

  const request = (
    project: string,
    rollout_id: string,
    asked: Pick<SequenceRequested, "count" | "at_least" | "attempt_id">,
    request_id = hexId(32, null),
  ): Request => {
    const ids = { project, rollout_id, request_id, requested_at: now() * 1000 };
    return { type: "SequenceRequested", value: { ...ids, ...asked } };
  };

  /** The least number that is above those of the rollout's spans; null: the counter is. */
  async function atLeast(project: string, rollout: RolloutChanged): Promise<number | null> {
    const highest = await stored.highest(project, rollout.rollout_id);
    return highest === null || highest < rollout.next_sequence_id ? null : highest + 1;
  }

  async function unknown(project: string, rolloutId: string): Promise<number> {
    const key = keyOf(project, rolloutId);
    const past = await history.get(project, rolloutId);
    const number = Math.max(counters.get(key) ?? 1, past?.next_sequence_id ?? 1);
    counters.delete(key);
    counters.set(key, number + 1);
    const [oldest] = counters.keys();
    if (counters.size > mostCounters && oldest !== undefined) counters.delete(oldest);
    return number;
  }

  return {
    async next(project, rolloutId, requestId) {
      if (rollouts.get(project, rolloutId) === undefined) await rollouts.caughtUp();
      // A span another gateway stored may have a higher number.
      await stored.caughtUp();
      const rollout = rollouts.get(project, rolloutId);
      if (rollout !== undefined) {
        const above = await atLeast(project, rollout);
        const one = { count: 1, at_least: above, attempt_id: null };
        const asked = request(project, rolloutId, one, requestId);
        const [answer] = await rollouts.submit([asked]);
        if (answer?.sequenceId != null) return answer.sequenceId;
      }
      return unknown(project, rolloutId);
    },

    async number(project, spans, alive) {
      const requests: Request[] = [];
      const waiting: SpanRecorded[][] = [];
      for (const [rolloutId, group] of byRollout(spans)) {
        const rollout = rollouts.get(project, rolloutId);
        if (rollout === undefined) continue;
        const without = group.filter((span) => span.sequence_id === null);
        if (without.length === 0) continue;
        const beside = group.reduce(
          (most, span) => Math.max(most, (span.sequence_id ?? -1) + 1),
          0,
        );
        const above = Math.max(beside, (await atLeast(project, rollout)) ?? 0);
        const attempt_id = alive?.get(rolloutId) ?? null;
        const asked = { count: without.length, at_least: above, attempt_id };
        requests.push(request(project, rolloutId, asked));
        waiting.push(without);
      }
      if (requests.length === 0) return;
      const answers = await rollouts.submit(requests);
      for (const [i, answer] of answers.entries()) {
        for (const [k, span] of (waiting[i] ?? []).entries()) {
          if (answer.sequenceId !== null) span.sequence_id = answer.sequenceId + k;
        }
      }
    },
  };
}

function byRollout(spans: readonly SpanRecorded[]): Map<string, SpanRecorded[]> {
  const groups = new Map<string, SpanRecorded[]>();
  for (const span of spans) {
    const group = groups.get(span.rollout_id);
    if (group === undefined) groups.set(span.rollout_id, [span]);
    else group.push(span);
  }
  return groups;
}
