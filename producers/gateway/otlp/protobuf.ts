import type { Attributes, SpanEvent, SpanLink, SpanRecorded } from "../../../schemas/types.ts";
import { noAttributes } from "../../attributes.ts";
import { readAttribute, type Trouble } from "./any-value.ts";
import {
  blankSpan,
  kindOf,
  noItems,
  type Shared,
  scopeExtra,
  statusOf,
  type TakeSpan,
} from "./span.ts";
import {
  type Cursor,
  cursorOf,
  malformed,
  more,
  sameText,
  skip,
  stop,
  tag,
  text,
  uint32,
} from "./wire.ts";

/**
 * Reads an `ExportTraceServiceRequest` (opentelemetry-proto 1.x, `collector/trace/v1`) and hands on
 * its spans in the order sent. Throws `request-invalid` for bytes that are no such message.
 */
export function readProtobuf(bytes: Buffer, take: TakeSpan): void {
  const c = cursorOf(bytes);
  const end = bytes.length;
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) readResourceSpans(c, stop(c, end), take);
    else skip(c, key, end);
  }
}

function readResourceSpans(c: Cursor, end: number, take: TakeSpan): void {
  const start = c.at;
  const resource = noAttributes();
  const trouble: Trouble = { problem: null };
  let resourceSchemaUrl = "";
  let resourceBytes = 0;
  // The resource may stand behind its spans, so it is looked for first.
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) {
      const stopAt = stop(c, end);
      resourceBytes += stopAt - c.at;
      readResource(c, stopAt, resource, trouble);
    } else if (key === 26) resourceSchemaUrl = sameText(c, end);
    else skip(c, key, end);
  }
  const shared: Shared = {
    resource,
    resourceSchemaUrl,
    resourceBytes,
    scopeName: "",
    scopeVersion: "",
    extra: null,
  };
  c.at = start;
  while (more(c, end)) {
    const key = tag(c);
    if (key === 18) readScopeSpans(c, stop(c, end), shared, trouble.problem, take);
    else skip(c, key, end);
  }
}

function readResource(c: Cursor, end: number, into: Attributes, trouble: Trouble): void {
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) readAttribute(c, end, into, trouble);
    else skip(c, key, end);
  }
}

function readScopeSpans(
  c: Cursor,
  end: number,
  shared: Shared,
  problem: string | null,
  take: TakeSpan,
): void {
  const start = c.at;
  const attributes = noAttributes();
  let schemaUrl = "";
  shared.scopeName = "";
  shared.scopeVersion = "";
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) readScope(c, stop(c, end), shared, attributes);
    else if (key === 26) schemaUrl = sameText(c, end);
    else skip(c, key, end);
  }
  shared.extra = scopeExtra(attributes, schemaUrl);
  c.at = start;
  while (more(c, end)) {
    const key = tag(c);
    if (key !== 18) skip(c, key, end);
    else {
      const stopAt = stop(c, end);
      const size = stopAt - c.at + shared.resourceBytes;
      const trouble: Trouble = { problem };
      take(readSpan(c, stopAt, shared, trouble), size, trouble.problem);
    }
  }
}

function readScope(c: Cursor, end: number, shared: Shared, into: Attributes): void {
  const trouble: Trouble = { problem: null };
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) shared.scopeName = sameText(c, end);
    else if (key === 18) shared.scopeVersion = sameText(c, end);
    else if (key === 26) readAttribute(c, end, into, trouble);
    else skip(c, key, end);
  }
}

function readSpan(c: Cursor, end: number, shared: Shared, trouble: Trouble): SpanRecorded {
  const span = blankSpan(shared);
  while (more(c, end)) {
    const key = tag(c);
    if (key === 74) readAttribute(c, end, span.attributes, trouble);
    else if (key === 10) span.trace_id = id(c, end);
    else if (key === 18) span.span_id = id(c, end);
    else if (key === 26) span.trace_state = text(c, end);
    else if (key === 34) span.parent_id = id(c, end);
    else if (key === 42) span.name = sameText(c, end);
    else if (key === 48) span.kind = kindOf(uint32(c));
    else if (key === 57) {
      span.start_nanos = nanos(c);
      span.start_time = micros(c, trouble, "start_time_unix_nano");
    } else if (key === 65) {
      span.end_nanos = nanos(c);
      span.end_time = micros(c, trouble, "end_time_unix_nano");
    } else readRare(c, key, end, span, trouble);
  }
  return span;
}

function readRare(c: Cursor, key: number, end: number, span: SpanRecorded, trouble: Trouble): void {
  if (key === 80) span.dropped_attributes = uint32(c);
  else if (key === 90) {
    if (span.events === noItems) span.events = [];
    span.events.push(readEvent(c, stop(c, end), trouble));
  } else if (key === 96) span.dropped_events = uint32(c);
  else if (key === 106) {
    if (span.links === noItems) span.links = [];
    span.links.push(readLink(c, stop(c, end), trouble));
  } else if (key === 112) span.dropped_links = uint32(c);
  else if (key === 122) readStatus(c, stop(c, end), span);
  else if (key === 133) span.flags = fixed32(c, c.at);
  else skip(c, key, end);
  if (key === 133) c.at += 4;
}

function readStatus(c: Cursor, end: number, span: SpanRecorded): void {
  while (more(c, end)) {
    const key = tag(c);
    if (key === 18) span.status_message = text(c, end) || null;
    else if (key === 24) span.status_code = statusOf(uint32(c));
    else skip(c, key, end);
  }
}

function readEvent(c: Cursor, end: number, trouble: Trouble): SpanEvent {
  const attributes = noAttributes();
  const event: SpanEvent = { name: "", time: 0, nanos: 0, attributes, dropped_attributes: 0 };
  while (more(c, end)) {
    const key = tag(c);
    if (key === 9) {
      event.nanos = nanos(c);
      event.time = micros(c, trouble, "events.time_unix_nano");
    } else if (key === 18) event.name = sameText(c, end);
    else if (key === 26) readAttribute(c, end, event.attributes, trouble);
    else if (key === 32) event.dropped_attributes = uint32(c);
    else skip(c, key, end);
  }
  return event;
}

function readLink(c: Cursor, end: number, trouble: Trouble): SpanLink {
  const attributes = noAttributes();
  const link: SpanLink = {
    trace_id: "",
    span_id: "",
    trace_state: "",
    attributes,
    dropped_attributes: 0,
  };
  while (more(c, end)) {
    const key = tag(c);
    if (key === 10) link.trace_id = id(c, end);
    else if (key === 18) link.span_id = id(c, end);
    else if (key === 26) link.trace_state = text(c, end);
    else if (key === 34) readAttribute(c, end, link.attributes, trouble);
    else if (key === 40) link.dropped_attributes = uint32(c);
    else skip(c, key, end);
  }
  return link;
}

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The hex digits of an id; whether it has the right length is for whoever places the span to say. */
function id(c: Cursor, end: number): string {
  const stopAt = stop(c, end);
  if (stopAt - c.at > 64) throw malformed(c, "an id is longer than 64 bytes");
  let value = "";
  while (c.at < stopAt) value += digits[c.bytes[c.at++] ?? 0];
  return value;
}

function fixed32(c: Cursor, at: number): number {
  const { bytes } = c;
  const high = (bytes[at + 3] ?? 0) * 0x1000000;
  return high + (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at] ?? 0));
}

/** 2^32 is 4,294,967 thousands and 296: whole microseconds and the rest stay exact numbers. */
function nanos(c: Cursor): number {
  return (fixed32(c, c.at + 4) * 296 + fixed32(c, c.at)) % 1000;
}

/** Whole microseconds of the nanoseconds at the cursor, which is moved on. */
function micros(c: Cursor, trouble: Trouble, field: string): number {
  const high = fixed32(c, c.at + 4);
  const value = high * 4_294_967 + Math.floor((high * 296 + fixed32(c, c.at)) / 1000);
  c.at += 8;
  if (value > latest) {
    trouble.problem = `${field} is beyond the year 2255`;
    return 0;
  }
  return value;
}

/** 2^53 microseconds: more is no exact number, and no time a span can have. */
const latest = Number.MAX_SAFE_INTEGER;
