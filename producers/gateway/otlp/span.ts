import type { Attributes, SpanRecorded } from "../../../schemas/types.ts";
import { attributesToObject, jsonText, noAttributes } from "../../attributes.ts";

/**
 * Takes a decoded span: `project`, `rollout_id` and `attempt_id` are still empty. `bytes` is its
 * size on the wire, its resource included; `problem` says why it cannot be kept, or is null.
 */
export type TakeSpan = (span: SpanRecorded, bytes: number, problem: string | null) => void;

const kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] as const;
const statuses = ["UNSET", "OK", "ERROR"] as const;

/** Name of an OTLP span kind. */
export function kindOf(kind: number): string {
  return kinds[kind] ?? "UNSPECIFIED";
}

/** Name of an OTLP status code. */
export function statusOf(code: number): string {
  return statuses[code] ?? "UNSET";
}

/** What every span below a resource and a scope shares. */
export type Shared = {
  readonly resource: Attributes;
  readonly resourceSchemaUrl: string;
  readonly resourceBytes: number;
  scopeName: string;
  scopeVersion: string;
  extra: string | null;
};

/** The extra fields of spans whose scope says more than a name and a version; null when none does. */
export function scopeExtra(attributes: Attributes, schemaUrl: string): string | null {
  const entries = attributesToObject(attributes);
  const hasEntries = Object.keys(entries).length > 0;
  if (!hasEntries && schemaUrl === "") return null;
  return jsonText({
    ...(hasEntries ? { scope_attributes: entries } : {}),
    ...(schemaUrl === "" ? {} : { scope_schema_url: schemaUrl }),
  });
}

/** Frozen, so that spans without events and links share it. */
export const noItems: never[] = Object.freeze([]) as unknown as never[];

/** A span with nothing set. */
export function blankSpan(shared: Shared): SpanRecorded {
  return {
    project: "",
    rollout_id: "",
    attempt_id: "",
    sequence_id: null,
    trace_id: "",
    span_id: "",
    parent_id: null,
    name: "",
    kind: "UNSPECIFIED",
    start_time: 0,
    end_time: 0,
    start_nanos: 0,
    end_nanos: 0,
    status_code: "UNSET",
    status_message: null,
    attributes: noAttributes(),
    resource: shared.resource,
    resource_schema_url: shared.resourceSchemaUrl,
    scope_name: shared.scopeName,
    scope_version: shared.scopeVersion,
    trace_state: "",
    flags: 0,
    events: noItems,
    links: noItems,
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: shared.extra,
  };
}
