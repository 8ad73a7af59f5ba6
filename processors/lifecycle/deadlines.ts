import { isFinished } from "../../schemas/statuses.ts";
import type { RolloutChanged } from "../../schemas/types.ts";

/**
 * `room` is no time but a number: a gateway holds more finished rollouts than it may, and asks for
 * the oldest to be forgotten before their retention has passed.
 */
export const limits = ["timeout", "unresponsive", "claim", "retention", "room"] as const;
export type Limit = (typeof limits)[number];

export type Deadline = {
  readonly limit: Limit;
  /** Null for retention, which is about the rollout. */
  readonly attemptId: string | null;
  /** µs since epoch. */
  readonly at: number;
};

/**
 * The next limit a rollout runs into when nothing happens to it, or null: it waits for somebody.
 * Only the latest attempt of a rollout that is under way is watched.
 */
export function deadlineOf(rollout: RolloutChanged): Deadline | null {
  if (isFinished(rollout.status)) {
    const at = later(rollout.ended_at ?? 0, rollout.config.retention_seconds);
    return at === null ? null : { limit: "retention", attemptId: null, at };
  }
  return deadlinesOf(rollout).reduce<Deadline | null>(
    (first, next) => (first === null || next.at < first.at ? next : first),
    null,
  );
}

/** Every limit that can still pass for a rollout under way; on equal times the first one counts. */
export function deadlinesOf(rollout: RolloutChanged): Deadline[] {
  const attempt = rollout.attempts.at(-1);
  if (attempt === undefined) return [];
  if (rollout.status !== "preparing" && rollout.status !== "running") return [];
  if (attempt.status !== "preparing" && attempt.status !== "running") return [];
  const { attempt_id: attemptId, started_at, last_heartbeat_at } = attempt;
  const { timeout_seconds, unresponsive_seconds, claim_seconds } = rollout.config;
  // A patch of the attempt follows the claim as well as a sign of life does.
  const followed = last_heartbeat_at !== null || attempt.metadata !== null;
  const silent = attempt.status === "preparing" && !followed;
  const due = [
    { limit: "timeout", attemptId, at: later(started_at, timeout_seconds) },
    {
      limit: "unresponsive",
      attemptId,
      at: later(last_heartbeat_at ?? started_at, unresponsive_seconds),
    },
    { limit: "claim", attemptId, at: silent ? later(started_at, claim_seconds) : null },
  ] as const;
  return due.flatMap(({ limit, at }) => (at === null ? [] : [{ limit, attemptId, at }]));
}

/** Null: never, also for what no clock reaches. */
function later(from: number, seconds: number | null): number | null {
  if (seconds === null) return null;
  const at = from + Math.round(seconds * 1e6);
  return Number.isSafeInteger(at) ? at : null;
}
