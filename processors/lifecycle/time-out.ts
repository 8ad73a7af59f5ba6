import type { Tagged } from "../../schemas/records.ts";
import { isFinished } from "../../schemas/statuses.ts";
import type { RolloutChanged, TimeoutRequested } from "../../schemas/types.ts";
import { type Deadline, deadlineOf, deadlinesOf, limits } from "./deadlines.ts";
import { accepted, type Decision, voided, type When } from "./decision.ts";
import { shortHash } from "./short-hash.ts";
import { attemptIn, followAttempt, moveRollout, withAttempt } from "./state.ts";

/** Claims in a row that may be followed by nothing before the task itself is held to blame. */
const lostClaims = 16;

/** The log counts whole milliseconds: a deadline within the one it says may have passed, µs. */
const logTick = 1000;

/**
 * The request that says that a limit passed. Its id derives from the limit, so whoever notices it,
 * track-rollouts or any gateway, asks for the same thing, and the log applies it once.
 *
 * @param requestedAt µs since epoch.
 */
export function timeOutRequest(
  { project, rollout_id }: RolloutChanged,
  { limit, attemptId, at }: Deadline,
  requestedAt: number,
): Tagged<"TimeoutRequested"> {
  return {
    type: "TimeoutRequested",
    value: {
      project,
      rollout_id,
      request_id: `tr-${shortHash([rollout_id, attemptId, limit, at].join("\u0000"))}`,
      requested_at: requestedAt,
      attempt_id: attemptId,
      limit,
      deadline: at,
    },
  };
}

/** What a finished rollout is forgotten by when it takes room that newer ones need; null: it is not. */
export function roomLimit({ status, ended_at }: RolloutChanged): Deadline | null {
  if (!isFinished(status) || ended_at === null) return null;
  return { limit: "room", attemptId: null, at: ended_at };
}

/** The limit that a rollout under way runs into next; that of retention is track-rollouts' alone. */
export function limitAhead(rollout: RolloutChanged): Deadline | null {
  return isFinished(rollout.status) ? null : deadlineOf(rollout);
}

/**
 * A limit passed, provided that it still stands: whatever came before this request in the log and
 * moved the deadline (a sign of life, an end, a new attempt) was faster. It passes by the log's
 * clock: one who asks too early, because his own runs fast, ends nothing.
 */
export function timeOut(rollout: RolloutChanged, request: TimeoutRequested, when: When): Decision {
  const { limit, deadline, attempt_id: attemptId } = request;
  if (!(limits as readonly string[]).includes(limit)) {
    return voided(rollout, null, `limit: read ${limit}, allowed are ${limits.join(", ")}`);
  }
  const standing = isFinished(rollout.status) ? forgetting(rollout) : deadlinesOf(rollout);
  const stands = standing.some(
    (due) => due?.limit === limit && due.at === deadline && due.attemptId === attemptId,
  );
  if (!stands) return voided(rollout, "conflict", "deadline: it was moved in time", attemptId);
  if (isAhead(deadline, when)) {
    return voided(rollout, "conflict", "deadline: it has not passed by the log's clock", attemptId);
  }
  const attempt = rollout.attempts.at(-1);
  if (limit === "retention" || limit === "room" || attempt === undefined) {
    return { ...accepted({ rollout, ended: null }), rollout: undefined };
  }
  const next = attemptIn(attempt, limit === "timeout" ? "timeout" : "unresponsive", when);
  const error = `attempt ${next.sequence_id} passed its ${limit} limit`;
  const changed = { ...withAttempt(rollout, next), error };
  const change =
    limit === "claim" && !onlyLostClaims(changed)
      ? moveRollout(changed, "requeuing", when)
      : followAttempt(changed, next, when);
  return accepted(change, { attemptId });
}

function forgetting(rollout: RolloutChanged): (Deadline | null)[] {
  return [deadlineOf(rollout), roomLimit(rollout)];
}

/** Whether claim after claim was followed by nothing, so that asking on would never end. */
function onlyLostClaims(rollout: RolloutChanged): boolean {
  const last = rollout.attempts.slice(-lostClaims);
  const lost = last.every((attempt) => attempt.last_heartbeat_at === null);
  return last.length === lostClaims && lost;
}

function isAhead(deadline: number, when: When): boolean {
  return when.now + logTick <= deadline;
}
