import { keyOf } from "../../schemas/topics.ts";
import { hexId } from "./ids.ts";
import type { Metrics } from "./metrics.ts";
import type { Rollouts } from "./ports.ts";

/** Says that an attempt showed a sign of life. Never waits and never throws. */
export type Heartbeat = (project: string, rolloutId: string, attemptId: string) => void;

const intervalMs = 1000;
const finished: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

/**
 * Arriving spans as heartbeats: at most one a second per attempt, and none for rollouts that are
 * over or that this gateway does not know (yet), because the log would void them.
 */
export function createHeartbeat(
  rollouts: Rollouts,
  metrics: Metrics,
  now: () => number,
): Heartbeat {
  const last = new Map<string, number>();
  return (project, rolloutId, attemptId) => {
    const at = now();
    const key = `${attemptId}\u0000${keyOf(project, rolloutId)}`;
    if (at - (last.get(key) ?? Number.NEGATIVE_INFINITY) < intervalMs) return;
    const rollout = rollouts.get(project, rolloutId);
    if (rollout === undefined || finished.has(rollout.status)) return;
    // Moved to the end, so that the entries at the front are the oldest.
    last.delete(key);
    last.set(key, at);
    forget(last, at);
    const value = {
      project,
      rollout_id: rolloutId,
      request_id: hexId(32, null),
      requested_at: at * 1000,
      attempt_id: attemptId,
      by_span: true,
    };
    rollouts.submit([{ type: "HeartbeatRequested", value }]).then(
      () => metrics.heartbeats.inc({ outcome: "sent" }),
      () => metrics.heartbeats.inc({ outcome: "failed" }),
    );
  };
}

function forget(last: Map<string, number>, at: number): void {
  for (const [key, time] of last) {
    if (at - time < intervalMs) return;
    last.delete(key);
  }
}
