import { attemptStatuses, modes, rolloutStatuses } from "../../schemas/statuses.ts";
import type { Attempt, PatchRequested, RolloutChanged, TaskConfig } from "../../schemas/types.ts";
import {
  accepted,
  attemptOf,
  type Decision,
  unknownAttempt,
  voided,
  type When,
} from "./decision.ts";
import { configProblem } from "./enqueue.ts";
import { rawMembers } from "./raw-members.ts";
import { attemptIn, followAttempt, moveRollout, withAttempt } from "./state.ts";

/** Reads one field of a patch: value and JSON text as sent → what to set, or what is allowed. */
type Field<T> = (value: unknown, text: string) => Partial<T> | string;

const configFields: readonly string[] = [
  "timeout_seconds",
  "unresponsive_seconds",
  "max_attempts",
  "retry_condition",
  "grace_seconds",
  "claim_seconds",
  "retention_seconds",
] satisfies (keyof TaskConfig)[];

const rolloutFields: Readonly<Record<string, Field<RolloutChanged>>> = {
  status: (status) => (isOneOf(rolloutStatuses, status) ? { status } : rolloutStatuses.join(", ")),
  mode: (mode) =>
    mode === null || isOneOf(modes, mode) ? { mode } : `${modes.join(", ")} and null`,
  resources_id: (id) => (isTextOrNull(id) ? { resources_id: id } : "text or null"),
  metadata: (value, text) =>
    value === null || isObject(value) ? { metadata: text } : "an object or null",
  // Verbatim: parsing and printing again would turn 1.0 into 1 and lose large integers.
  input: (_value, text) => ({ input: text }),
  config: (value) =>
    isConfig(value) ? { config: value } : `an object of ${configFields.join(", ")}`,
};

const attemptFields: Readonly<Record<string, Field<Attempt>>> = {
  status: (status) => (isOneOf(attemptStatuses, status) ? { status } : attemptStatuses.join(", ")),
  worker_id: (id) => (isTextOrNull(id) ? { worker_id: id } : "text or null"),
  last_heartbeat_at: (at) =>
    at === null || isWhole(at) ? { last_heartbeat_at: at } : "whole microseconds or null",
  metadata: (value, text) => {
    if (value === null) return { metadata: null };
    return isObject(value) ? { metadata: text } : "an object or null";
  },
};

/** Sets fields of the rollout or of an attempt; as in the reference any status may follow any. */
export function patch(rollout: RolloutChanged, request: PatchRequested, when: When): Decision {
  const attemptId = request.attempt_id;
  const attempt = attemptId === null ? undefined : attemptOf(rollout, attemptId);
  if (attemptId !== null && attempt === undefined) return unknownAttempt(rollout, attemptId);
  const { status } = attempt ?? rollout;
  if (request.expected_status !== null && request.expected_status !== status) {
    const message = `expected_status: read ${request.expected_status}, the status is ${status}`;
    return voided(rollout, "conflict", message, attempt?.attempt_id ?? null);
  }
  return attempt === undefined
    ? patchRollout(rollout, request.patch, when)
    : patchAttempt(rollout, attempt, request, when);
}

function patchRollout(rollout: RolloutChanged, text: string, when: When): Decision {
  const fields = readFields(text, rolloutFields);
  if (typeof fields === "string") return voided(rollout, null, fields);
  const { status, config, ...plain } = fields;
  const merged = { ...rollout.config, ...config };
  const problem = config === undefined ? null : configProblem(merged);
  if (problem !== null) return voided(rollout, null, `patch.${problem}`);
  const next = { ...rollout, ...plain, config: merged };
  return accepted(
    status === undefined ? { rollout: next, ended: null } : moveRollout(next, status, when),
  );
}

/**
 * Every patch of the latest attempt, also one without a status, moves the rollout to where that
 * attempt says. A cancelled rollout stays so whatever its runner still reports, unless the request
 * asks for what the reference does.
 */
function patchAttempt(
  rollout: RolloutChanged,
  attempt: Attempt,
  { patch: text, rederive }: PatchRequested,
  when: When,
): Decision {
  const attemptId = attempt.attempt_id;
  const fields = readFields(text, attemptFields);
  if (typeof fields === "string") return voided(rollout, null, fields, attemptId);
  const { status, ...plain } = fields;
  const changed = { ...attempt, ...plain };
  const next = status === undefined ? changed : attemptIn(changed, status, when);
  const patched = withAttempt(rollout, next);
  if (rollout.status === "cancelled" && !rederive) {
    return accepted({ rollout: patched, ended: null }, { attemptId });
  }
  return accepted(followAttempt(patched, next, when), { attemptId });
}

/** The fields to set, or what is wrong with the patch. */
function readFields<T>(
  text: string,
  readers: Readonly<Record<string, Field<T>>>,
): Partial<T> | string {
  const members = rawMembers(text);
  if (typeof members === "string") return `patch: ${members}`;
  let fields: Partial<T> = {};
  for (const [name, raw] of members) {
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined;
    if (read === undefined) {
      return `patch.${name}: no such field, allowed are ${Object.keys(readers).join(", ")}`;
    }
    const set = read(JSON.parse(raw), raw);
    if (typeof set === "string") return `patch.${name}: read ${raw.slice(0, 80)}, allowed: ${set}`;
    fields = { ...fields, ...set };
  }
  return fields;
}

function isOneOf<T extends string>(allowed: readonly T[], value: unknown): value is T {
  return (allowed as readonly unknown[]).includes(value);
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Some of its fields; {@link configProblem} looks at the values once they are merged. */
function isConfig(value: unknown): value is TaskConfig {
  return isObject(value) && Object.keys(value).every((name) => configFields.includes(name));
}
