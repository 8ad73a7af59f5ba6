import type {
  BatchLeased,
  BatchReturned,
  BatchTrained,
  ProjectConfigured,
  Resource,
  ResourcesUpdated,
} from "../../../schemas/types.ts";
import {
  bytes,
  dictionary,
  field,
  float64,
  int32,
  int64,
  list,
  micros,
  optional,
  text,
  tuple,
  word,
} from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";
import { creditColumns } from "./credit.ts";

const resource = tuple<Resource>([
  field("name", text, (r) => r.name),
  field("kind", word, (r) => r.kind),
  field("json", text, (r) => r.json),
  field("blob", optional(bytes), (r) => r.blob),
]);

export const resources: Table<ResourcesUpdated> = {
  name: "resources",
  key: ["project", "resources_id", "version"],
  repeats: {
    columns: ["project", "resources_id"],
    scope: ({ value }) => value.project,
    id: ({ value }) => value.resources_id,
    identity: ({ value }) => [value.project, value.resources_id, value.version],
  },
  columns: [
    same("project", word),
    same("resources_id", text),
    same("version", int64),
    same("created_at", micros),
    same("updated_at", micros),
    field("resources", list(resource), ({ value: v }) => v.resources),
    same("batch_id", optional(text)),
    same("request_id", optional(text)),
    ...kafkaColumns,
  ],
};

export const projects: Table<ProjectConfigured> = {
  name: "projects",
  key: ["project", "version"],
  repeats: {
    columns: ["project", "version"],
    scope: ({ value }) => value.project,
    id: ({ value }) => value.version,
    identity: ({ value }) => [value.project, value.version],
  },
  columns: [
    same("project", word),
    same("version", int64),
    ...creditColumns,
    same("selection", word),
    same("group_deadline_seconds", float64),
    same("grace_seconds", float64),
    same("updated_at", micros),
    ...kafkaColumns,
  ],
};

/** The three events of a batch on one row shape; what an event does not have is null or empty. */
export type BatchEvent = {
  readonly event: string;
  readonly tokens: number | null;
  readonly policy_version: number | null;
  readonly max_staleness: number | null;
  readonly metrics: { readonly [name: string]: number };
  readonly resources_id: string | null;
  readonly resources_version: number | null;
  readonly detail: string | null;
  readonly at: number;
  readonly expires_at: number | null;
} & Pick<
  BatchLeased,
  "project" | "batch_id" | "lease_id" | "worker_id" | "groups" | "transitions" | "delivery"
>;

const absent = {
  tokens: null,
  policy_version: null,
  max_staleness: null,
  metrics: {},
  resources_id: null,
  resources_version: null,
  detail: null,
  expires_at: null,
} as const;

export function leased(batch: BatchLeased): BatchEvent {
  return { ...absent, ...batch, event: "leased", at: batch.leased_at };
}

export function trained(batch: BatchTrained): BatchEvent {
  return { ...absent, ...batch, event: "trained", at: batch.trained_at };
}

/** The event is the reason: expired, refused, stale, … */
export function returned(batch: BatchReturned): BatchEvent {
  return { ...absent, ...batch, event: batch.reason, at: batch.returned_at };
}

export const batches: Table<BatchEvent> = {
  name: "batches",
  key: ["project", "batch_id", "lease_id", "event"],
  repeats: null,
  columns: [
    same("project", word),
    same("batch_id", text),
    same("lease_id", text),
    same("event", word),
    same("worker_id", text),
    field("groups", list(text), ({ value: v }) => v.groups),
    same("transitions", int32),
    same("tokens", optional(int64)),
    same("delivery", int32),
    same("policy_version", optional(int64)),
    same("max_staleness", optional(int64)),
    same("metrics", dictionary(float64)),
    same("resources_id", optional(text)),
    same("resources_version", optional(int64)),
    same("detail", optional(text)),
    same("at", micros),
    same("expires_at", optional(micros)),
    ...kafkaColumns,
  ],
};
