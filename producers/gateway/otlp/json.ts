import { LightningError } from "../../../schemas/errors.ts";
import type { Attributes, SpanEvent, SpanLink, SpanRecorded } from "../../../schemas/types.ts";
import { noAttributes } from "../../attributes.ts";
import type { Trouble } from "./any-value.ts";
import { array, enumeration, type Json, millionths, object, text, whole } from "./json-fields.ts";
import { putJsonAttributes } from "./json-value.ts";
import { blankSpan, kindOf, type Shared, scopeExtra, statusOf, type TakeSpan } from "./span.ts";

/**
 * Reads an OTLP/JSON `ExportTraceServiceRequest`: ids as hex digits, enums as numbers or names,
 * 64-bit integers as text or numbers, unknown fields ignored
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). Throws `request-invalid`
 * naming the field whose type is wrong.
 */
export function readJson(bytes: Buffer, take: TakeSpan): void {
  const request = object(parse(bytes), "body");
  for (const [i, item] of array(request, "resourceSpans", "").entries()) {
    const path = `resourceSpans[${i}]`;
    readResourceSpans(object(item, path), path, take);
  }
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new LightningError("request-invalid", "body is not JSON", { cause, field: "body" });
  }
}

function readResourceSpans(json: Json, path: string, take: TakeSpan): void {
  const trouble: Trouble = { problem: null };
  const resource = noAttributes();
  const said = object(json.resource ?? {}, `${path}.resource`);
  putJsonAttributes(said, `${path}.resource`, resource, trouble);
  const shared: Shared = {
    resource,
    resourceSchemaUrl: text(json, "schemaUrl", path),
    resourceBytes: sizeOf(said, `${path}.resource`),
    scopeName: "",
    scopeVersion: "",
    extra: null,
  };
  for (const [i, item] of array(json, "scopeSpans", path).entries()) {
    const scopePath = `${path}.scopeSpans[${i}]`;
    readScopeSpans(object(item, scopePath), scopePath, shared, trouble.problem, take);
  }
}

/** Characters of a value's JSON; the reader of JSON nests deeper than its writer can. */
function sizeOf(json: unknown, path: string): number {
  try {
    return JSON.stringify(json).length;
  } catch (cause) {
    const message = `${path}: nested too deep`;
    throw new LightningError("request-invalid", message, { cause, field: path });
  }
}

function readScopeSpans(
  json: Json,
  path: string,
  shared: Shared,
  problem: string | null,
  take: TakeSpan,
): void {
  const scope = object(json.scope ?? {}, `${path}.scope`);
  const attributes: Attributes = noAttributes();
  putJsonAttributes(scope, `${path}.scope`, attributes, { problem: null });
  shared.scopeName = text(scope, "name", `${path}.scope`);
  shared.scopeVersion = text(scope, "version", `${path}.scope`);
  shared.extra = scopeExtra(attributes, text(json, "schemaUrl", path));
  for (const [i, item] of array(json, "spans", path).entries()) {
    const trouble: Trouble = { problem };
    const span = readSpan(
      object(item, `${path}.spans[${i}]`),
      `${path}.spans[${i}]`,
      shared,
      trouble,
    );
    take(span, shared.resourceBytes + sizeOf(item, `${path}.spans[${i}]`), trouble.problem);
  }
}

function readSpan(json: Json, path: string, shared: Shared, trouble: Trouble): SpanRecorded {
  const span = blankSpan(shared);
  span.trace_id = hexId(json, "traceId", path);
  span.span_id = hexId(json, "spanId", path);
  span.parent_id = hexId(json, "parentSpanId", path);
  span.trace_state = text(json, "traceState", path);
  span.name = text(json, "name", path);
  span.kind = kindOf(enumeration(json, "kind", path, "SPAN_KIND_", kindNames));
  [span.start_time, span.start_nanos] = millionths(json, "startTimeUnixNano", path);
  [span.end_time, span.end_nanos] = millionths(json, "endTimeUnixNano", path);
  span.flags = whole(json, "flags", path);
  span.dropped_attributes = whole(json, "droppedAttributesCount", path);
  span.dropped_events = whole(json, "droppedEventsCount", path);
  span.dropped_links = whole(json, "droppedLinksCount", path);
  const status = object(json.status ?? {}, `${path}.status`);
  span.status_code = statusOf(enumeration(status, "code", path, "STATUS_CODE_", statusNames));
  span.status_message = text(status, "message", `${path}.status`) || null;
  putJsonAttributes(json, path, span.attributes, trouble);
  span.events = array(json, "events", path).map((item, i) =>
    readEvent(object(item, `${path}.events[${i}]`), `${path}.events[${i}]`, trouble),
  );
  span.links = array(json, "links", path).map((item, i) =>
    readLink(object(item, `${path}.links[${i}]`), `${path}.links[${i}]`, trouble),
  );
  return span;
}

const kindNames = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
const statusNames = ["UNSET", "OK", "ERROR"];

function readEvent(json: Json, path: string, trouble: Trouble): SpanEvent {
  const attributes = noAttributes();
  putJsonAttributes(json, path, attributes, trouble);
  const [time, nanos] = millionths(json, "timeUnixNano", path);
  const dropped = whole(json, "droppedAttributesCount", path);
  return { name: text(json, "name", path), time, nanos, attributes, dropped_attributes: dropped };
}

function readLink(json: Json, path: string, trouble: Trouble): SpanLink {
  const attributes = noAttributes();
  putJsonAttributes(json, path, attributes, trouble);
  return {
    trace_id: hexId(json, "traceId", path),
    span_id: hexId(json, "spanId", path),
    trace_state: text(json, "traceState", path),
    attributes,
    dropped_attributes: whole(json, "droppedAttributesCount", path),
  };
}

/** Hex digits in lower case; anything else becomes `?`, which is no id, and the span is rejected. */
function hexId(json: Json, name: string, path: string): string {
  const id = text(json, name, path);
  return /^[0-9a-fA-F]*$/.test(id) ? id.toLowerCase() : "?";
}
