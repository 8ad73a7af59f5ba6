import type { Verdict } from "../../schemas/requests.ts";
import type { Attempt, AttemptEnded, RolloutChanged } from "../../schemas/types.ts";
import type { Place } from "../processor.ts";

export type Decision = {
  /** State afterwards: the same object when nothing changed, undefined when there is none (any more). */
  readonly rollout: RolloutChanged | undefined;
  readonly verdict: Verdict;
  /** The mark to write behind the attempt's spans, when the request ended one. */
  readonly ended: AttemptEnded | null;
};

/** A changed rollout and the mark it brings. */
export type Change = { readonly rollout: RolloutChanged; readonly ended: AttemptEnded | null };

/** The log time of a request in microseconds, and its offset. */
export type When = { readonly now: number; readonly offset: number };

export function whenOf(at: Place): When {
  return { now: at.timestamp * 1000, offset: at.offset };
}

type Answer = { readonly attemptId?: string | null; readonly sequenceId?: number };

export function accepted(change: Change, answer: Answer = {}): Decision {
  const { attemptId = null, sequenceId = null } = answer;
  const verdict = { reason: null, message: "", attemptId, sequenceId };
  return { ...change, verdict: { outcome: "accepted", ...verdict } };
}

export function repeated(rollout: RolloutChanged, answer: Answer): Decision {
  const { attemptId = null, sequenceId = null } = answer;
  const verdict = { reason: null, message: "applied before", attemptId, sequenceId };
  return { rollout, ended: null, verdict: { outcome: "repeated", ...verdict } };
}

export function voided(
  rollout: RolloutChanged | undefined,
  reason: Verdict["reason"],
  message: string,
  attemptId: string | null = null,
): Decision {
  const verdict = { outcome: "void", reason, message, attemptId, sequenceId: null } as const;
  return { rollout, ended: null, verdict };
}

/** The attempt of that id, or the newest one for `latest`. */
export function attemptOf(rollout: RolloutChanged, attemptId: string): Attempt | undefined {
  if (attemptId === "latest") return rollout.attempts.at(-1);
  return rollout.attempts.find((attempt) => attempt.attempt_id === attemptId);
}

export function unknownAttempt(rollout: RolloutChanged, attemptId: string): Decision {
  const known = rollout.attempts.map((attempt) => attempt.attempt_id).join(", ") || "none";
  const message = `attempt_id: read ${attemptId}, rollout ${rollout.rollout_id} has ${known}`;
  return voided(rollout, "unknown", message);
}
