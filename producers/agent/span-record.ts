import { type HrTime, type Link, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan, TimedEvent } from "@opentelemetry/sdk-trace-base";
import type { SpanEvent, SpanLink, SpanRecorded } from "../../schemas/types.ts";
import { attributesFrom } from "../attributes.ts";
import { type Stamp, withStamp } from "./stamp.ts";

/** The record of a finished span: the same as the gateway makes of it when it comes by OTLP. */
export function recordOf(span: ReadableSpan, { attempt, sequenceId }: Stamp): SpanRecorded {
  const { traceId, spanId, traceState } = span.spanContext();
  const { schemaUrl = "" } = span.instrumentationScope;
  return {
    project: attempt.project,
    rollout_id: attempt.rolloutId,
    attempt_id: attempt.attemptId,
    sequence_id: sequenceId,
    trace_id: traceId,
    span_id: spanId,
    parent_id: span.parentSpanContext?.spanId ?? null,
    name: span.name,
    kind: SpanKind[span.kind] ?? "UNSPECIFIED",
    start_time: microsOf(span.startTime),
    end_time: microsOf(span.endTime),
    start_nanos: span.startTime[1] % 1000,
    end_nanos: span.endTime[1] % 1000,
    status_code: SpanStatusCode[span.status.code] ?? "UNSET",
    status_message: span.status.message || null,
    attributes: attributesFrom(withStamp(span).attributes),
    resource: attributesFrom(span.resource.attributes),
    resource_schema_url: span.resource.schemaUrl ?? "",
    scope_name: span.instrumentationScope.name,
    scope_version: span.instrumentationScope.version ?? "",
    trace_state: traceState?.serialize() ?? "",
    flags: flagsOf(span),
    events: span.events.map(eventOf),
    links: span.links.map(linkOf),
    dropped_attributes: span.droppedAttributesCount,
    dropped_events: span.droppedEventsCount,
    dropped_links: span.droppedLinksCount,
    extra: schemaUrl === "" ? null : JSON.stringify({ scope_schema_url: schemaUrl }),
  };
}

/** About how many bytes a span keeps in memory and on the wire; counted once, when it ends. */
export function approximateBytes(span: ReadableSpan): number {
  let bytes = 400 + span.name.length + bytesOf(span.attributes);
  for (const event of span.events) bytes += 50 + event.name.length + bytesOf(event.attributes);
  for (const link of span.links) bytes += 100 + bytesOf(link.attributes);
  return bytes;
}

function bytesOf(attributes: Readonly<Record<string, unknown>> | undefined): number {
  let bytes = 0;
  for (const key in attributes) {
    const value = attributes[key];
    bytes += key.length + 8;
    if (typeof value === "string") bytes += value.length;
    else if (Array.isArray(value)) {
      for (const item of value) bytes += typeof item === "string" ? item.length + 8 : 8;
    }
  }
  return bytes;
}

function eventOf(event: TimedEvent): SpanEvent {
  return {
    name: event.name,
    time: microsOf(event.time),
    nanos: event.time[1] % 1000,
    attributes: attributesFrom(event.attributes ?? {}),
    dropped_attributes: event.droppedAttributesCount ?? 0,
  };
}

function linkOf(link: Link): SpanLink {
  return {
    trace_id: link.context.traceId,
    span_id: link.context.spanId,
    trace_state: link.context.traceState?.serialize() ?? "",
    attributes: attributesFrom(link.attributes ?? {}),
    dropped_attributes: link.droppedAttributesCount ?? 0,
  };
}

/** OTLP's span flags: the W3C byte, bit 8 "is_remote is known", bit 9 "the parent is remote". */
function flagsOf(span: ReadableSpan): number {
  const remote = span.parentSpanContext?.isRemote === true ? 0x200 : 0;
  return (span.spanContext().traceFlags & 0xff) | 0x100 | remote;
}

/** Microseconds since the epoch, below 2^53 until the year 2255. */
function microsOf([seconds, nanos]: HrTime): number {
  return seconds * 1_000_000 + Math.floor(nanos / 1000);
}
