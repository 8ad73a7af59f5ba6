import type { Tagged } from "../../schemas/records.ts";
import { isFinished } from "../../schemas/statuses.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { type Deadline, deadlineOf } from "./deadlines.ts";
import { shortHash } from "./short-hash.ts";

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

/** The limit that a rollout under way runs into next; that of retention is track-rollouts' alone. */
export function limitAhead(rollout: RolloutChanged): Deadline | null {
  return isFinished(rollout.status) ? null : deadlineOf(rollout);
}
