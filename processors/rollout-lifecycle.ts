import type { Request } from "../schemas/requests.ts";
import { isFinished, isQueued } from "../schemas/statuses.ts";
import type {
  ClaimRequested,
  EndRequested,
  HeartbeatRequested,
  RolloutChanged,
  SequenceRequested,
} from "../schemas/types.ts";
import {
  accepted,
  attemptOf,
  type Decision,
  repeated,
  unknownAttempt,
  voided,
  type When,
  whenOf,
} from "./lifecycle/decision.ts";
import { enqueue } from "./lifecycle/enqueue.ts";
import { patch } from "./lifecycle/patch.ts";
import { shortHash } from "./lifecycle/short-hash.ts";
import {
  attemptIn,
  finish,
  followAttempt,
  isLatest,
  isOpen,
  startAttempt,
  withAttempt,
  withStatus,
} from "./lifecycle/state.ts";
import { timeOut } from "./lifecycle/time-out.ts";
import type { Place } from "./processor.ts";

/** How many request ids a rollout remembers beside that of its enqueue. */
const remembered = 16;

/** Signs of life closer than this to the last one change nothing, µs: they would only cost log. */
const heartbeatStep = 1_000_000;

/** How much closer they may be where silence is noticed sooner. */
const stepsToSilence = 4;

/**
 * The fold of `requests`, the same in every gateway (to answer) and in track-rollouts (to publish):
 * a request is a compare-and-set, the first valid one in log order wins, the others are void. It
 * looks at nothing but its arguments and never throws. `at.timestamp` must be the request's own
 * timestamp in the log, and a rollout's state must come from here or from `rollouts`.
 *
 * An attempt gets its mark when it is the rollout's result or can no longer become it: when the
 * rollout finishes, or when the next attempt starts. Until then a silent attempt may come back.
 */
export function decide(rollout: RolloutChanged | undefined, request: Request, at: Place): Decision {
  const when = whenOf(at);
  if (rollout !== undefined) {
    const before = repeatOf(rollout, request, when);
    if (before !== null) return before;
  }
  const decision = apply(rollout, request, when);
  const { rollout: next } = decision;
  if (next === rollout || next === undefined) return decision;
  return { ...decision, rollout: remember(next, request, when) };
}

/** The id of the attempt a request starts; derived, so that everyone gives it the same one. */
export function attemptIdFor(rolloutId: string, requestId: string): string {
  return `at-${shortHash(`${rolloutId}\u0000${requestId}`)}`;
}

function apply(rollout: RolloutChanged | undefined, request: Request, when: When): Decision {
  const { rollout_id, request_id } = request.value;
  if (request.type === "EnqueueRequested") {
    if (rollout === undefined) {
      return enqueue(request.value, attemptIdFor(rollout_id, request_id), when);
    }
    return voided(rollout, "conflict", `rollout_id: ${rollout_id} exists, it is ${rollout.status}`);
  }
  if (rollout === undefined) {
    return voided(undefined, "unknown", `rollout_id: read ${rollout_id}, no such rollout`);
  }
  switch (request.type) {
    case "ClaimRequested":
      return claim(rollout, request.value, when);
    case "HeartbeatRequested":
      return heartbeat(rollout, request.value, when);
    case "EndRequested":
      return end(rollout, request.value, when);
    case "PatchRequested":
      return patch(rollout, request.value, when);
    case "CancelRequested":
      return cancel(rollout, when);
    case "TimeoutRequested":
      return timeOut(rollout, request.value, when);
    case "SequenceRequested":
      return reserve(rollout, request.value, when);
  }
}

/** The answer to a request that was applied before, or null. */
function repeatOf(rollout: RolloutChanged, request: Request, when: When): Decision | null {
  const { rollout_id, request_id } = request.value;
  const started = attemptOf(rollout, attemptIdFor(rollout_id, request_id))?.attempt_id;
  const named = "attempt_id" in request.value ? request.value.attempt_id : null;
  const attemptId =
    started ?? (named === null ? null : (attemptOf(rollout, named)?.attempt_id ?? null));
  const given = rollout.recent_sequences.find((entry) => entry.request_id === request_id);
  if (given !== undefined) return repeated(rollout, { attemptId, sequenceId: given.first });
  if (started !== undefined || rollout.recent_requests.includes(request_id)) {
    return repeated(rollout, { attemptId });
  }
  // A gateway that starts from the facts may read requests again that are folded into them.
  return when.offset <= rollout.request_offset ? repeated(rollout, { attemptId }) : null;
}

/**
 * Heartbeats, time-outs and sequences need no place among the ids: they are harmless twice, guarded
 * by their deadline, or answered from `recent_sequences`. The enqueue's id, the first, stays.
 */
function remember(rollout: RolloutChanged, request: Request, when: When): RolloutChanged {
  const next = { ...rollout, request_offset: when.offset };
  if (request.type === "HeartbeatRequested") return next;
  if (request.type === "TimeoutRequested" || request.type === "SequenceRequested") return next;
  const [first, ...others] = [...rollout.recent_requests, request.value.request_id];
  const ids = first === undefined ? [] : [first, ...others.slice(-remembered)];
  return { ...next, recent_requests: ids };
}

function claim(rollout: RolloutChanged, request: ClaimRequested, when: When): Decision {
  if (!request.forced && !isQueued(rollout.status)) {
    const message = `status: it is ${rollout.status}, only queuing and requeuing can be claimed`;
    return voided(rollout, "conflict", message);
  }
  const attemptId = attemptIdFor(rollout.rollout_id, request.request_id);
  const start = { attemptId, workerId: request.worker_id, forced: request.forced };
  return accepted(startAttempt(rollout, start, when), { attemptId });
}

type SignOfLife = Pick<HeartbeatRequested, "attempt_id" | "by_span">;

function heartbeat(rollout: RolloutChanged, request: SignOfLife, when: When): Decision {
  const attempt = attemptOf(rollout, request.attempt_id);
  if (attempt === undefined) return unknownAttempt(rollout, request.attempt_id);
  const attemptId = attempt.attempt_id;
  const revived = request.by_span && attempt.status === "unresponsive";
  const starts = revived || attempt.status === "preparing";
  const status = starts ? "running" : attempt.status;
  const waits = rollout.status === "preparing" || rollout.status === "requeuing";
  const runs = status === "running" && waits && isLatest(rollout, attempt);
  const last = attempt.last_heartbeat_at ?? Number.NEGATIVE_INFINITY;
  const near = Math.abs(when.now - last) < stepOf(rollout);
  if (!starts && !runs && near) return accepted({ rollout, ended: null }, { attemptId });
  // A time far ahead was set by a patch: a sign of life takes it back.
  const at = near ? Math.max(last, when.now) : when.now;
  const changed = withAttempt(rollout, { ...attempt, status, last_heartbeat_at: at });
  const moved = runs ? { ...withStatus(changed, "running"), error: null } : changed;
  return accepted({ rollout: moved, ended: null }, { attemptId });
}

/** Signs of life within this time are one, µs; gateways hold back what would be. */
function stepOf({ config }: RolloutChanged): number {
  const limit = config.unresponsive_seconds;
  if (limit === null) return heartbeatStep;
  return Math.min(heartbeatStep, (limit * 1_000_000) / stepsToSilence);
}

/** Ends an open attempt; the rollout follows unless it is finished or the attempt is not its latest. */
function end(rollout: RolloutChanged, request: EndRequested, when: When): Decision {
  const attempt = attemptOf(rollout, request.attempt_id);
  if (attempt === undefined) return unknownAttempt(rollout, request.attempt_id);
  const attemptId = attempt.attempt_id;
  if (request.status !== "succeeded" && request.status !== "failed") {
    const message = `status: read ${request.status}, allowed are succeeded and failed`;
    return voided(rollout, null, message, attemptId);
  }
  if (!isOpen(attempt)) {
    return voided(rollout, "conflict", `status: the attempt is ${attempt.status}`, attemptId);
  }
  const next = attemptIn(attempt, request.status, when);
  const changed = withAttempt(rollout, next);
  if (isFinished(rollout.status) || !isLatest(rollout, next)) {
    return accepted({ rollout: changed, ended: null }, { attemptId });
  }
  return accepted(followAttempt({ ...changed, error: request.error }, next, when), { attemptId });
}

function cancel(rollout: RolloutChanged, when: When): Decision {
  if (isFinished(rollout.status)) {
    return voided(rollout, "conflict", `status: the rollout is ${rollout.status}`);
  }
  const attemptId = rollout.attempts.at(-1)?.attempt_id ?? null;
  return accepted(finish(rollout, "cancelled", when), { attemptId });
}

/** Hands out numbers; with an attempt named, its spans are what they are for, and show it alive. */
function reserve(rollout: RolloutChanged, request: SequenceRequested, when: When): Decision {
  const { attempt_id } = request;
  const decision = handOut(rollout, request);
  if (attempt_id === null || decision.rollout === undefined) return decision;
  if (decision.verdict.outcome !== "accepted") return decision;
  const alive = heartbeat(decision.rollout, { attempt_id, by_span: true }, when);
  return { ...decision, rollout: alive.rollout };
}

function handOut(rollout: RolloutChanged, request: SequenceRequested): Decision {
  if (request.count < 0) {
    return voided(rollout, null, `count: read ${request.count}, must be at least 0`);
  }
  const first = Math.max(rollout.next_sequence_id, request.at_least ?? 0);
  if (request.count === 0) {
    // Nothing is handed out, so nothing has to be answered alike when it is asked again.
    const raised = { ...rollout, next_sequence_id: first };
    const same = first === rollout.next_sequence_id;
    return accepted({ rollout: same ? rollout : raised, ended: null }, { sequenceId: first });
  }
  const given = { request_id: request.request_id, first };
  const next = {
    ...rollout,
    next_sequence_id: first + request.count,
    recent_sequences: [...rollout.recent_sequences.slice(1 - remembered), given],
  };
  return accepted({ rollout: next, ended: null }, { sequenceId: first });
}
