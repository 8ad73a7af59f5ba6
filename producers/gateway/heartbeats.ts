import { isFinished } from "../../schemas/statuses.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { hexId } from "./ids.ts";
import type { Metrics } from "./metrics.ts";
import type { Rollouts } from "./ports.ts";

/**
 * What a new span does to its attempt: `starts` it (it is the first, there can be no other),
 * `changes` a status, is only a `sign` of life, or is for an attempt this gateway does not know.
 */
export type Effect = "starts" | "changes" | "sign" | "unknown";

export type Heartbeats = {
  effectOf(project: string, rolloutId: string, attemptId: string): Effect;
  /**
   * Says in the log that the attempt is alive; resolves when the fold has read it. Signs that change
   * no status are sent at most once a second per attempt, or as often as its limit needs.
   */
  beat(project: string, rolloutId: string, attemptId: string): Promise<void>;
  /** A sign of life that goes along with another request: until it is read, none beside it is sent. */
  along(project: string, rolloutId: string, attemptId: string, request: Promise<void>): void;
};

/** Says that an attempt showed a sign of life. Never waits and never throws. */
export type Heartbeat = (project: string, rolloutId: string, attemptId: string) => void;

const intervalMs = 1000;
const signsPerLimit = 4;
const waiting: ReadonlySet<string> = new Set(["preparing", "requeuing"]);

/** Arriving spans as heartbeats. */
export function createHeartbeats(
  rollouts: Rollouts,
  metrics: Metrics,
  now: () => number,
): Heartbeats {
  const last = new Map<string, number>();
  const onTheirWay = new Map<string, Promise<void>>();

  function effectOf(project: string, rolloutId: string, attemptId: string): Effect {
    const rollout = rollouts.get(project, rolloutId);
    const attempt = rollout?.attempts.find((one) => one.attempt_id === attemptId);
    if (rollout === undefined || attempt === undefined) return "unknown";
    if (attempt.status === "preparing") {
      return attempt.last_heartbeat_at === null ? "starts" : "changes";
    }
    if (attempt.status === "unresponsive") return "changes";
    return isLatest(rollout, attemptId) && waiting.has(rollout.status) ? "changes" : "sign";
  }

  /** Notes when a sign of life was sent and, until it is read, that it is on its way. */
  function note(key: string, at: number, request: Promise<void>): Promise<void> {
    // Moved to the end, so that the entries at the front are the oldest.
    last.delete(key);
    last.set(key, at);
    forget(last, at);
    const sent = request
      .then(
        () => metrics.heartbeats.inc({ outcome: "sent" }),
        (error) => {
          metrics.heartbeats.inc({ outcome: "failed" });
          throw error;
        },
      )
      .finally(() => onTheirWay.delete(key));
    onTheirWay.set(key, sent);
    return sent;
  }

  function send(key: string, project: string, rolloutId: string, attemptId: string): Promise<void> {
    const at = now();
    const value = {
      project,
      rollout_id: rolloutId,
      request_id: hexId(32, null),
      requested_at: at * 1000,
      attempt_id: attemptId,
      by_span: true,
    };
    const read = rollouts.submit([{ type: "HeartbeatRequested", value }]);
    return note(
      key,
      at,
      read.then(() => undefined),
    );
  }

  return {
    effectOf,
    along(project, rolloutId, attemptId, request) {
      // Whoever waits for the request itself hears of a failure.
      note(keyFor(project, rolloutId, attemptId), now(), request).catch(() => undefined);
    },
    async beat(project, rolloutId, attemptId) {
      const key = keyFor(project, rolloutId, attemptId);
      const effect = effectOf(project, rolloutId, attemptId);
      if (effect === "unknown") return;
      // One on its way does what this one would.
      const other = onTheirWay.get(key);
      if (other !== undefined) return other;
      const since = now() - (last.get(key) ?? Number.NEGATIVE_INFINITY);
      if (effect === "sign" && since < intervalOf(rollouts.get(project, rolloutId))) return;
      await send(key, project, rolloutId, attemptId);
    },
  };
}

/** Signs of life of running rollouts, for whoever does not wait for them. */
export function createHeartbeat(rollouts: Rollouts, { beat }: Heartbeats): Heartbeat {
  return (project, rolloutId, attemptId) => {
    const rollout = rollouts.get(project, rolloutId);
    if (rollout === undefined || isFinished(rollout.status)) return;
    beat(project, rolloutId, attemptId).catch(() => undefined);
  };
}

function keyFor(project: string, rolloutId: string, attemptId: string): string {
  return `${attemptId}\u0000${keyOf(project, rolloutId)}`;
}

/** Silence must not be noticed between two signs of life that are sent. */
function intervalOf(rollout: RolloutChanged | undefined): number {
  const limit = rollout?.config.unresponsive_seconds ?? null;
  return limit === null ? intervalMs : Math.min(intervalMs, (limit * 1000) / signsPerLimit);
}

function isLatest(rollout: RolloutChanged, attemptId: string): boolean {
  return rollout.attempts.at(-1)?.attempt_id === attemptId;
}

function forget(last: Map<string, number>, at: number): void {
  for (const [key, time] of last) {
    if (at - time < intervalMs) return;
    last.delete(key);
  }
}
