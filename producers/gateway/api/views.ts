import type { FastifyRequest } from "fastify";
import type {
  Attempt,
  ProjectConfigured,
  ResourcesUpdated,
  RolloutChanged,
} from "../../../schemas/types.ts";
import { jsonValue } from "../json.ts";

/** A rollout as the API shows it; times in ms since epoch. */
export function rolloutView(rollout: RolloutChanged): Record<string, unknown> {
  const { enqueued_at, queued_at, ended_at } = rollout;
  return {
    project: rollout.project,
    rollout_id: rollout.rollout_id,
    status: rollout.status,
    input: jsonValue(rollout.input),
    mode: rollout.mode,
    resources_id: rollout.resources_id,
    resources_version: rollout.resources_version,
    config: rollout.config,
    metadata: jsonValue(rollout.metadata),
    group_id: rollout.group_id,
    group_size: rollout.group_size,
    group_deadline_seconds: rollout.group_deadline_seconds,
    credit: rollout.credit,
    selection: jsonValue(rollout.selection),
    enqueued_at: milliseconds(enqueued_at),
    queued_at: milliseconds(queued_at),
    ended_at: milliseconds(ended_at),
    error: rollout.error,
    attempts: rollout.attempts.map(attemptView),
  };
}

function attemptView(attempt: Attempt): Record<string, unknown> {
  const { metadata } = attempt;
  return {
    ...attempt,
    started_at: milliseconds(attempt.started_at),
    ended_at: milliseconds(attempt.ended_at),
    last_heartbeat_at: milliseconds(attempt.last_heartbeat_at),
    metadata: metadata === null ? null : jsonValue(metadata),
  };
}

/** Records count microseconds, JavaScript and this API milliseconds. */
function milliseconds(micros: number | null): number | null {
  return micros === null ? null : micros / 1000;
}

/**
 * A claimed rollout: `attempt` is the one to work on, `openai_base_url` where its LLM calls go to be
 * recorded, `otlp_endpoint` what to set as OTEL_EXPORTER_OTLP_ENDPOINT.
 */
export function claimView(
  rollout: RolloutChanged,
  attempt: Attempt,
  base: string,
): Record<string, unknown> {
  const rolloutPath = encodeURIComponent(rollout.rollout_id);
  const address = `${base}/rollout/${rolloutPath}/attempt/${encodeURIComponent(attempt.attempt_id)}`;
  return {
    ...rolloutView(rollout),
    attempt: attemptView(attempt),
    openai_base_url: `${address}/v1`,
    otlp_endpoint: address,
  };
}

/** Where the APIs of a project start, as the client can reach them. */
export function baseUrl(
  publicUrl: string | null,
  request: FastifyRequest,
  project: string,
): string {
  const root = publicUrl ?? `${request.protocol}://${request.host}`;
  return project === "default" ? root : `${root}/projects/${project}`;
}

/** Settings as the API shows them and, without project and version, takes them. */
export function settingsView(settings: ProjectConfigured): Record<string, unknown> {
  const { selection, updated_at } = settings;
  return { ...settings, selection: jsonValue(selection), updated_at: milliseconds(updated_at) };
}

/** A resource set as the API shows it and takes it; weights inline are base64 under `blob`. */
export function resourcesView(set: ResourcesUpdated): Record<string, unknown> {
  const resources = set.resources.map(({ name, kind, json, blob }) => {
    const fields = jsonValue(json);
    const shown = typeof fields === "object" && fields !== null ? fields : { json };
    const inline = blob === null ? {} : { blob: Buffer.from(blob).toString("base64") };
    return [name, { ...shown, kind, ...inline }];
  });
  return {
    ...set,
    created_at: milliseconds(set.created_at),
    updated_at: milliseconds(set.updated_at),
    resources: Object.fromEntries(resources),
  };
}
