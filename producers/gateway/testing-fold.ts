import type { Request } from "../../schemas/requests.ts";
import type { Attempt, PatchRequested, RolloutChanged } from "../../schemas/types.ts";
import type { Answer } from "./ports.ts";

export const terminal: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

/**
 * A small fold of requests: enqueue, claim, heartbeat, patch, sequence, end and cancel, as far as the
 * gateway's tests ask. It is no model of the product's, which processors/ owns.
 */
export function fold(before: RolloutChanged | undefined, request: Request, at: number): Answer {
  const { value, type } = request;
  if (before?.recent_requests.includes(value.request_id)) {
    return verdictOf("repeated", before, before.attempts.at(-1)?.attempt_id);
  }
  if (type === "EnqueueRequested") {
    if (before !== undefined) return voided(before, "conflict", `${value.rollout_id} exists`);
    const made = enqueuedRollout(value, at);
    return value.start
      ? claimed(made, value.request_id, value.worker_id, at)
      : verdictOf("accepted", made);
  }
  if (before === undefined) return voided(null, "unknown", `no rollout ${value.rollout_id}`);
  const recent_requests = [...before.recent_requests, value.request_id];
  const rollout = { ...before, recent_requests };
  if (type === "SequenceRequested") {
    const first = Math.max(before.next_sequence_id, value.at_least ?? 0);
    const next_sequence_id = first + value.count;
    const numbered = { ...rollout, next_sequence_id };
    const after = value.attempt_id === null ? numbered : running(numbered, at);
    return { ...verdictOf("accepted", after), sequenceId: first };
  }
  if (type === "PatchRequested") return patched(rollout, value, at);
  if (type === "ClaimRequested" && value.forced) {
    return claimed(rollout, value.request_id, value.worker_id, at);
  }
  if (terminal.has(before.status)) return voided(before, "conflict", `it is ${before.status}`);
  if (type === "CancelRequested") {
    return verdictOf("accepted", { ...rollout, status: "cancelled", ended_at: at });
  }
  if (type === "ClaimRequested") return claimed(rollout, value.request_id, value.worker_id, at);
  const last = rollout.attempts.at(-1);
  if (!("attempt_id" in value) || last === undefined) return voided(before, "unknown", "attempt");
  if (value.attempt_id !== "latest" && value.attempt_id !== last.attempt_id) {
    return voided(before, "unknown", `no attempt ${value.attempt_id}`);
  }
  if (type !== "EndRequested") {
    return verdictOf("accepted", running(rollout, at), last.attempt_id);
  }
  const { status, error } = value;
  const attempt = { ...last, status, last_heartbeat_at: at };
  const attempts = [...rollout.attempts.slice(0, -1), attempt];
  return verdictOf("accepted", { ...rollout, status, error, ended_at: at, attempts });
}

function running(rollout: RolloutChanged, at: number): RolloutChanged {
  const attempts = rollout.attempts.map((attempt, i) =>
    i < rollout.attempts.length - 1
      ? attempt
      : { ...attempt, status: "running", last_heartbeat_at: at },
  );
  return { ...rollout, status: "running", attempts };
}

function patched(rollout: RolloutChanged, request: PatchRequested, at: number): Answer {
  const { status, input, metadata, config, ...plain } = JSON.parse(request.patch);
  const json = {
    ...(metadata === undefined ? {} : { metadata: JSON.stringify(metadata) }),
    ...(status === undefined ? {} : { status }),
  };
  if (request.attempt_id === null) {
    const text = input === undefined ? {} : { input: JSON.stringify(input) };
    const after = { ...rollout, ...plain, ...json, ...text };
    if (terminal.has(after.status)) after.ended_at = at;
    return verdictOf("accepted", { ...after, config: { ...rollout.config, ...config } });
  }
  const attempt = rollout.attempts.find(
    (one) => request.attempt_id === "latest" || one.attempt_id === request.attempt_id,
  );
  if (attempt === undefined) return voided(rollout, "unknown", "no such attempt");
  const next = { ...attempt, ...plain, ...json };
  const attempts = rollout.attempts.map((one) => (one === attempt ? next : one));
  const ended_at = terminal.has(next.status) ? at : rollout.ended_at;
  const after = { ...rollout, attempts, status: next.status, ended_at };
  return verdictOf("accepted", after, attempt.attempt_id);
}

function claimed(
  rollout: RolloutChanged,
  requestId: string,
  workerId: string | null,
  at: number,
): Answer {
  const attempt: Attempt = {
    attempt_id: `at-${rollout.attempts.length + 1}`,
    sequence_id: rollout.attempts.length + 1,
    status: "preparing",
    worker_id: workerId,
    started_at: at,
    ended_at: null,
    last_heartbeat_at: null,
    metadata: null,
  };
  const attempts = [...rollout.attempts, attempt];
  const after = { ...rollout, status: "preparing", attempts, recent_requests: [requestId] };
  return verdictOf("accepted", after, attempt.attempt_id);
}

function enqueuedRollout(
  value: Extract<Request, { type: "EnqueueRequested" }>["value"],
  at: number,
): RolloutChanged {
  const { request_id, requested_at, start, worker_id, ...kept } = value;
  return {
    ...kept,
    status: "queuing",
    enqueued_at: at,
    queued_at: at,
    keeps_place: false,
    ended_at: null,
    attempts: [],
    next_sequence_id: 1,
    recent_requests: [request_id],
    recent_sequences: [],
    marked_attempts: 0,
    request_offset: 0,
    error: null,
  };
}

function verdictOf(
  outcome: "accepted" | "repeated",
  rollout: RolloutChanged,
  attemptId: string | null = null,
): Answer {
  return { outcome, reason: null, message: "", rollout, attemptId, sequenceId: null };
}

function voided(
  rollout: RolloutChanged | null,
  reason: "unknown" | "conflict",
  message: string,
): Answer {
  return { outcome: "void", reason, message, rollout, attemptId: null, sequenceId: null };
}
