import { keyOf } from "../../schemas/topics.ts";
import type { Attributes, SpanRecorded } from "../../schemas/types.ts";
import { noAttributes } from "../attributes.ts";
import type { Produced } from "../producer.ts";

/** What the gateway knows of a span it makes itself; times in ms since epoch. */
export type OwnSpan = {
  readonly project: string;
  readonly rolloutId: string;
  readonly attemptId: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly name: string;
  readonly kind: "CLIENT" | "INTERNAL";
  readonly start: number;
  readonly end: number;
  readonly failure: string | null;
  readonly attributes: Attributes;
};

/** A span the gateway makes itself, ready to append. */
export function ownSpan(own: OwnSpan): Produced<"SpanRecorded"> {
  const value: SpanRecorded = {
    project: own.project,
    rollout_id: own.rolloutId,
    attempt_id: own.attemptId,
    sequence_id: null,
    trace_id: own.traceId,
    span_id: own.spanId,
    parent_id: own.parentId,
    name: own.name,
    kind: own.kind,
    start_time: Math.round(own.start * 1000),
    end_time: Math.round(own.end * 1000),
    start_nanos: 0,
    end_nanos: 0,
    status_code: own.failure === null ? "OK" : "ERROR",
    status_message: own.failure,
    attributes: own.attributes,
    resource: noAttributes(),
    resource_schema_url: "",
    scope_name: "lightning.gateway",
    scope_version: "",
    trace_state: "",
    flags: 0,
    events: [],
    links: [],
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: null,
  };
  return { topic: "spans", key: keyOf(own.project, own.rolloutId), type: "SpanRecorded", value };
}
