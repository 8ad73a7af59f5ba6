import { LightningError } from "../../../schemas/errors.ts";
import type { Request } from "../../../schemas/requests.ts";
import type { EnqueueRequested, ResourcesUpdated } from "../../../schemas/types.ts";
import { chosenCredit, chosenSelection } from "../choices.ts";
import type { Gateway } from "../context.ts";
import { hexId } from "../ids.ts";
import { jsonField } from "../json.ts";
import type { RequestId } from "./asking.ts";
import type { TaskBody } from "./fields.ts";

/**
 * The requests that put tasks into the queue. Everything a rollout runs with is stamped on it here:
 * the resource set and its version, its group, and the project's credit strategy and selection where
 * it brings none of its own.
 */
export function enqueueRequests(
  gateway: Gateway,
  project: string,
  tasks: readonly TaskBody[],
  asked: RequestId,
): Request[] {
  return tasks.map((task, i) => {
    const own = task.request_id === undefined ? undefined : `enqueue/${task.request_id}`;
    const requestId = own ?? (tasks.length === 1 ? asked.id : `${asked.id}/${i}`);
    const repeatable = own !== undefined || asked.given;
    // A repeated request must name the same rollout, or the log would see two.
    const seeds = repeatable ? [project, requestId] : null;
    const rolloutId = task.rollout_id ?? `ro-${hexId(12, seeds)}`;
    const field = tasks.length === 1 ? "" : `[${i}].`;
    const value = enqueued(gateway, project, task, { rolloutId, requestId, field });
    return { type: "EnqueueRequested", value };
  });
}

function enqueued(
  gateway: Gateway,
  project: string,
  task: TaskBody,
  ids: { readonly rolloutId: string; readonly requestId: string; readonly field: string },
): EnqueueRequested {
  const settings = gateway.resources.settings(project);
  const set = resourcesOf(gateway, project, task.resources_id ?? null, ids.field);
  return {
    project,
    rollout_id: ids.rolloutId,
    request_id: ids.requestId,
    requested_at: gateway.now() * 1000,
    input: jsonField(task.input, `${ids.field}input`),
    mode: task.mode ?? null,
    resources_id: set?.resources_id ?? null,
    resources_version: set?.version ?? null,
    config: {
      timeout_seconds: null,
      unresponsive_seconds: null,
      max_attempts: 1,
      retry_condition: [],
      grace_seconds: settings.grace_seconds,
      claim_seconds: null,
      retention_seconds: gateway.store.retentionSeconds,
      ...task.config,
    },
    metadata: jsonField(task.metadata ?? {}, `${ids.field}metadata`),
    group_id: task.group_id ?? ids.rolloutId,
    group_size: task.group_size ?? 1,
    group_deadline_seconds: task.group_deadline_seconds ?? settings.group_deadline_seconds,
    credit: chosenCredit(gateway.choices, task.credit, settings.credit, ids.field),
    selection: chosenSelection(gateway.choices, task.selection, settings.selection, ids.field),
    start: task.start ?? false,
    worker_id: task.worker_id ?? null,
  };
}

function resourcesOf(
  gateway: Gateway,
  project: string,
  resourcesId: string | null,
  field: string,
): ResourcesUpdated | undefined {
  if (resourcesId === null) return gateway.resources.latest(project);
  const set = gateway.resources.get(project, resourcesId);
  if (set !== undefined) return set;
  throw new LightningError(
    "not-found",
    `${field}resources_id: read ${JSON.stringify(resourcesId)}, which is no resource set of project ${project}`,
    { field: `${field}resources_id` },
  );
}
