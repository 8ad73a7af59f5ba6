import { attemptStatuses, modes } from "../../../schemas/statuses.ts";
import type { EnqueueRequested, TaskConfig } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";
import { hexId } from "../ids.ts";
import { objectFields } from "./body.ts";
import {
  asAny,
  asId,
  asInteger,
  asObject,
  asSeconds,
  type Convert,
  defaulted,
  type Fields,
  has,
  listOf,
  note,
  oneOf,
  optional,
  required,
} from "./validation.ts";

/** The four settings of a rollout that the reference has. */
type Limits = Pick<
  TaskConfig,
  "timeout_seconds" | "unresponsive_seconds" | "max_attempts" | "retry_condition"
>;

/** A task as the reference takes it; JSON as it was sent. */
export type Task = {
  readonly input: string;
  readonly mode: string | null;
  readonly resourcesId: string | null;
  readonly config: Limits | null;
  readonly metadata: string;
  readonly group: { readonly id: string | null; readonly size: number };
};

const mode = oneOf(modes);
const attemptStatus = oneOf(attemptStatuses);

const atLeastOne: Convert<number> = (value) => {
  const result = asInteger(value);
  if (!("is" in result) || result.is >= 1) {
    if (!("is" in result) || result.is <= mostAttempts) return result;
    const msg = `Input should be less than or equal to ${mostAttempts}`;
    return { type: "less_than_equal", msg, ctx: { le: mostAttempts } };
  }
  const msg = "Input should be greater than or equal to 1";
  return { type: "greater_than_equal", msg, ctx: { ge: 1 } };
};

/** What the record holds. */
const mostAttempts = 2 ** 31 - 1;

/** Reads a task; mistakes are noted. */
export function taskOf(fields: Fields): Task {
  required(fields, "input", asAny);
  const metadata = optional(fields, "metadata", asObject);
  return {
    input: fields.raw("input"),
    mode: optional(fields, "mode", mode) ?? null,
    resourcesId: optional(fields, "resources_id", asId) ?? null,
    config: limitsOf(fields),
    metadata: metadata === undefined || metadata === null ? "{}" : fields.raw("metadata"),
    group: groupOf(metadata ?? {}),
  };
}

/** The `config` of a task or an update; null when it is absent or null. */
export function limitsOf(fields: Fields): Limits | null {
  const value = fields.value.config;
  if (!has(fields, "config") || value === null) return null;
  const loc = [...fields.loc, "config"];
  const config = objectFields(value, fields.raw("config"), loc, fields.issues);
  if (config === null) return null;
  if (config.value.retry_condition === null) {
    note(
      config,
      "retry_condition",
      { type: "list_type", msg: "Input should be a valid list" },
      null,
    );
  }
  return {
    timeout_seconds: optional(config, "timeout_seconds", asSeconds) ?? null,
    unresponsive_seconds: optional(config, "unresponsive_seconds", asSeconds) ?? null,
    max_attempts: defaulted(config, "max_attempts", atLeastOne, 1),
    retry_condition: listOf(config, "retry_condition", attemptStatus) ?? [],
  };
}

/** The group a task names in its metadata: the reference has no field for it. */
function groupOf(metadata: Readonly<Record<string, unknown>>): Task["group"] {
  const id = asId(metadata.group_id);
  const size = metadata.group_size;
  const whole = typeof size === "number" && Number.isInteger(size) && size >= 1 && size <= 100_000;
  return { id: "is" in id && id.is !== "" ? id.is : null, size: whole ? size : 1 };
}

/**
 * Ids for the rollouts of a request, ascending and with one beginning: those of the same millisecond
 * stand in the order of their ids. A repeated request must name the same rollouts, or the log would
 * see others.
 */
export function rolloutIds(
  project: string,
  asked: { readonly id: string; readonly given: boolean },
  count: number,
): string[] {
  const digits = (n: number, what: string) =>
    hexId(n, asked.given ? [project, asked.id, what] : null);
  const start = `ro-${digits(idDigits / 2, "batch")}`;
  const ends = new Set<string>();
  for (let i = 0; ends.size < count; i++) ends.add(digits(idDigits / 2, String(i)));
  return [...ends].sort().map((end) => start + end);
}

const idDigits = 12;

/** The request that makes a rollout of a task, with everything it runs with stamped on it. */
export function enqueueRequest(
  gateway: Gateway,
  project: string,
  task: Task,
  ids: { readonly request: string; readonly rollout: string; readonly place: number },
): EnqueueRequested {
  const settings = gateway.resources.settings(project);
  const rollout_id = ids.rollout;
  const latest = task.resourcesId === null ? gateway.resources.latest(project) : undefined;
  const resourcesId = task.resourcesId ?? latest?.resources_id ?? null;
  const set = latest ?? gateway.resources.get(project, resourcesId ?? "");
  return {
    project,
    rollout_id,
    request_id: ids.request,
    // Rollouts of one request queue in its order.
    requested_at: gateway.now() * 1000 + ids.place,
    input: task.input,
    mode: task.mode,
    resources_id: resourcesId,
    resources_version: set?.version ?? null,
    config: {
      timeout_seconds: null,
      unresponsive_seconds: null,
      max_attempts: 1,
      retry_condition: [],
      ...task.config,
      grace_seconds: settings.grace_seconds,
      claim_seconds: gateway.store.claimSeconds,
      retention_seconds: gateway.store.retentionSeconds,
    },
    metadata: task.metadata,
    group_id: task.group.id ?? rollout_id,
    group_size: task.group.id === null ? 1 : task.group.size,
    group_deadline_seconds: settings.group_deadline_seconds,
    credit: settings.credit,
    selection: settings.selection,
    start: false,
    worker_id: null,
  };
}
