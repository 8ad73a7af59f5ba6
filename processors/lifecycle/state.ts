import { isFinished, isQueued } from "../../schemas/statuses.ts";
import type { Attempt, AttemptEnded, RolloutChanged } from "../../schemas/types.ts";
import type { Change, When } from "./decision.ts";

const endedByItself: ReadonlySet<string> = new Set(["failed", "succeeded", "timeout"]);
const endedByResult: ReadonlySet<string> = new Set(["failed", "succeeded"]);

/** Whether the attempt can still bring a result; an unresponsive one may come back. */
export function isOpen(attempt: Attempt): boolean {
  return !endedByItself.has(attempt.status);
}

export function isLatest(rollout: RolloutChanged, attempt: Attempt): boolean {
  return rollout.attempts.at(-1)?.attempt_id === attempt.attempt_id;
}

/** The rollout with one of its attempts replaced. */
export function withAttempt(rollout: RolloutChanged, attempt: Attempt): RolloutChanged {
  const attempts = rollout.attempts.map((old) =>
    old.attempt_id === attempt.attempt_id ? attempt : old,
  );
  return { ...rollout, attempts };
}

/**
 * The attempt in a new status. A result brings its end, which is never taken back; an attempt that
 * ran into a limit has none, because nobody knows when its runner stopped.
 */
export function attemptIn(attempt: Attempt, status: string, when: When): Attempt {
  return { ...attempt, status, ended_at: endedByResult.has(status) ? when.now : attempt.ended_at };
}

/** How an attempt starts: by whom, and whether it was taken from the queue or past it. */
export type Start = {
  readonly attemptId: string;
  readonly workerId: string | null;
  readonly forced: boolean;
};

/**
 * Starts the next attempt, whatever the status. The attempt before it can no longer be the
 * rollout's result: this is when it gets its mark, unless the rollout had finished with it.
 */
export function startAttempt(
  rollout: RolloutChanged,
  { attemptId, workerId, forced }: Start,
  when: When,
): Change {
  const previous = rollout.attempts.at(-1);
  const marked = rollout.marked_attempts >= rollout.attempts.length;
  const attempt: Attempt = {
    attempt_id: attemptId,
    sequence_id: rollout.attempts.length + 1,
    status: "preparing",
    worker_id: workerId,
    started_at: when.now,
    ended_at: null,
    last_heartbeat_at: null,
    metadata: null,
  };
  return {
    rollout: {
      ...(forced ? withStatus(rollout, "preparing") : { ...rollout, keeps_place: false }),
      status: "preparing",
      error: null,
      attempts: [...rollout.attempts, attempt],
      marked_attempts: rollout.attempts.length,
    },
    ended: previous === undefined || marked ? null : markOf(rollout, previous, false, when),
  };
}

/**
 * Ends the rollout. The first end brings the final mark, of the latest attempt or of none; a
 * rollout that was reopened and ends again is not assembled twice, so later marks are not final.
 */
export function finish(rollout: RolloutChanged, status: string, when: When): Change {
  const first = rollout.ended_at === null;
  const ended = { ...rollout, status, ended_at: when.now, keeps_place: false };
  const marked = rollout.marked_attempts >= rollout.attempts.length;
  if (marked && !first) return { rollout: ended, ended: null };
  return {
    rollout: { ...ended, marked_attempts: rollout.attempts.length },
    ended: markOf(ended, rollout.attempts.at(-1), first, when),
  };
}

/** The rollout under way in a status; its entry in the queue, if it has one, stays there. */
export function withStatus(rollout: RolloutChanged, status: string): RolloutChanged {
  return { ...rollout, status, keeps_place: rollout.keeps_place || isQueued(rollout.status) };
}

/** Puts the rollout at the tail of the queue; an entry that is still there keeps its place. */
export function requeue(rollout: RolloutChanged, status: string, when: When): RolloutChanged {
  const there = rollout.keeps_place || isQueued(rollout.status);
  return {
    ...rollout,
    status,
    keeps_place: false,
    queued_at: there ? rollout.queued_at : when.now,
  };
}

/** Moves the rollout to a status, with all that an end or a return to the queue brings. */
export function moveRollout(rollout: RolloutChanged, status: string, when: When): Change {
  if (isFinished(status)) return finish(rollout, status, when);
  if (isQueued(status)) return { rollout: requeue(rollout, status, when), ended: null };
  return { rollout: withStatus(rollout, status), ended: null };
}

/**
 * What an attempt's status does to its rollout (reference/v0.3-store.md, 3.1). Only the latest
 * attempt decides; what went wrong goes back to the queue when the rollout's rule allows another.
 */
export function followAttempt(rollout: RolloutChanged, attempt: Attempt, when: When): Change {
  if (!isLatest(rollout, attempt)) return { rollout, ended: null };
  const status = statusFrom(rollout, attempt);
  return status === rollout.status ? { rollout, ended: null } : moveRollout(rollout, status, when);
}

function statusFrom(rollout: RolloutChanged, attempt: Attempt): string {
  const { max_attempts, retry_condition } = rollout.config;
  if (["preparing", "running", "succeeded"].includes(attempt.status)) return attempt.status;
  const again = retry_condition.includes(attempt.status) && attempt.sequence_id < max_attempts;
  return again ? "requeuing" : "failed";
}

function markOf(
  rollout: RolloutChanged,
  attempt: Attempt | undefined,
  final: boolean,
  when: When,
): AttemptEnded {
  return {
    project: rollout.project,
    rollout_id: rollout.rollout_id,
    attempt_id: attempt?.attempt_id ?? "",
    attempt_sequence_id: attempt?.sequence_id ?? 0,
    attempt_status: attempt?.status ?? rollout.status,
    final,
    rollout_status: rollout.status,
    mode: rollout.mode,
    resources_id: rollout.resources_id,
    resources_version: rollout.resources_version,
    group_id: rollout.group_id,
    group_size: rollout.group_size,
    group_deadline_seconds: rollout.group_deadline_seconds,
    credit: rollout.credit,
    selection: rollout.selection,
    grace_seconds: rollout.config.grace_seconds,
    metadata: rollout.metadata,
    enqueued_at: rollout.enqueued_at,
    started_at: attempt?.started_at ?? rollout.enqueued_at,
    ended_at: final ? when.now : (attempt?.ended_at ?? when.now),
    request_offset: when.offset,
  };
}
