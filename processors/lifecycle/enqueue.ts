import { attemptStatuses, modes } from "../../schemas/statuses.ts";
import type { EnqueueRequested, RolloutChanged } from "../../schemas/types.ts";
import { accepted, type Decision, voided, type When } from "./decision.ts";
import { startAttempt } from "./state.ts";

/** Makes the rollout; `attemptId` is the one a request with `start` begins at once. */
export function enqueue(request: EnqueueRequested, attemptId: string, when: When): Decision {
  const problem = problemOf(request);
  if (problem !== null) return voided(undefined, null, problem);
  const rollout = newRollout(request, when);
  if (!request.start) return accepted({ rollout, ended: null });
  const start = { attemptId, workerId: request.worker_id, forced: false };
  return accepted(startAttempt(rollout, start, when), { attemptId });
}

/** How far the clock of whoever asks may be from the log's to be believed, µs. */
const clockTolerance = 2_000_000;

/** The log counts milliseconds: what was asked within one is not ahead of it, µs. */
const withinMillisecond = 999;

/**
 * Where the rollout stands in the queue. The partitions of the log stamp what was enqueued together
 * a little apart, so the order is that of asking unless that clock is far off.
 */
function placeOf(requestedAt: number, { now }: When): number {
  return Math.abs(now - requestedAt) <= clockTolerance ? requestedAt : now;
}

function newRollout(request: EnqueueRequested, when: When): RolloutChanged {
  const place = placeOf(request.requested_at, when);
  return {
    project: request.project,
    rollout_id: request.rollout_id,
    status: "queuing",
    input: request.input,
    mode: request.mode,
    resources_id: request.resources_id,
    resources_version: request.resources_version,
    config: request.config,
    metadata: request.metadata,
    group_id: request.group_id === "" ? request.rollout_id : request.group_id,
    group_size: request.group_size,
    group_deadline_seconds: request.group_deadline_seconds,
    credit: request.credit,
    selection: request.selection,
    enqueued_at: Math.min(place, when.now + withinMillisecond),
    queued_at: place,
    keeps_place: false,
    ended_at: null,
    attempts: [],
    next_sequence_id: 1,
    recent_requests: [],
    recent_sequences: [],
    marked_attempts: 0,
    request_offset: when.offset,
    error: null,
  };
}

/** Why the rollout cannot be made, naming the field, or null. Numbers here steer timers later. */
function problemOf(request: EnqueueRequested): string | null {
  const { config } = request;
  const wrong = [
    request.rollout_id === "" && "rollout_id: read an empty text",
    request.mode !== null &&
      !(modes as readonly string[]).includes(request.mode) &&
      `mode: read ${request.mode}, allowed are train, val, test and null`,
    request.group_size < 1 && `group_size: read ${request.group_size}, must be at least 1`,
    !isDuration(request.group_deadline_seconds) &&
      `group_deadline_seconds: ${notDuration(request.group_deadline_seconds)}`,
    configProblem(config),
  ];
  return wrong.find((problem): problem is string => typeof problem === "string") ?? null;
}

/** Why limits and retry rule cannot be used, naming the field, or null. */
export function configProblem(config: RolloutChanged["config"]): string | null {
  if (!Number.isInteger(config.max_attempts) || config.max_attempts < 1) {
    return `config.max_attempts: read ${config.max_attempts}, must be a whole number from 1`;
  }
  if (!Array.isArray(config.retry_condition)) return "config.retry_condition: must be a list";
  for (const status of config.retry_condition) {
    if (!(attemptStatuses as readonly string[]).includes(status)) {
      return `config.retry_condition: read ${status}, allowed are ${attemptStatuses.join(", ")}`;
    }
  }
  for (const name of ["grace_seconds", "retention_seconds"] as const) {
    if (!isDuration(config[name])) return `config.${name}: ${notDuration(config[name])}`;
  }
  for (const name of ["timeout_seconds", "unresponsive_seconds", "claim_seconds"] as const) {
    const value = config[name];
    if (value !== null && !isDuration(value))
      return `config.${name}: ${notDuration(value)} or null`;
  }
  return null;
}

function isDuration(seconds: unknown): boolean {
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0;
}

function notDuration(value: unknown): string {
  return `read ${value}, must be a number of seconds from 0`;
}
