import type { Attributes, SpanRecorded } from "../../../schemas/types.ts";
import { idRule, isId } from "../ids.ts";

/** Where the URL says a span belongs; null when it says nothing. */
export type Address = {
  readonly project: string;
  readonly rolloutId: string | null;
  readonly attemptId: string | null;
};

export const rolloutAttribute = "agentlightning.rollout_id";
export const attemptAttribute = "agentlightning.attempt_id";
export const sequenceAttribute = "agentlightning.span_sequence_id";

/**
 * Puts a decoded span in its place: its own attributes say first, then its resource's, then the
 * URL. Returns why it has none, or null.
 */
export function place(span: SpanRecorded, address: Address): string | null {
  const rolloutId = said(span, rolloutAttribute) ?? address.rolloutId;
  if (rolloutId === null) return missing(rolloutAttribute);
  const attemptId = said(span, attemptAttribute) ?? address.attemptId;
  if (attemptId === null) return missing(attemptAttribute);
  if (!isId(rolloutId)) return `${rolloutAttribute} is no id (${idRule})`;
  if (!isId(attemptId)) return `${attemptAttribute} is no id (${idRule})`;
  span.project = address.project;
  span.rollout_id = rolloutId;
  span.attempt_id = attemptId;
  span.sequence_id = sequenceOf(said(span, sequenceAttribute));
  return checkIds(span);
}

function missing(attribute: string): string {
  return `${attribute} is missing in the span's and the resource's attributes and in the URL`;
}

/** An attribute as text, of the span or else of its resource. */
function said(span: SpanRecorded, name: string): string | null {
  return textOf(span.attributes, name) ?? textOf(span.resource, name);
}

function textOf(attributes: Attributes, name: string): string | null {
  const value = attributes.strings[name] ?? attributes.longs[name] ?? attributes.json[name] ?? null;
  return value === null ? null : String(value);
}

/** A number an agent cannot have meant is no number: the span keeps its place without one. */
function sequenceOf(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function checkIds(span: SpanRecorded): string | null {
  if (!isHexId(span.trace_id, 32)) return wrongId("trace_id", 32);
  if (!isHexId(span.span_id, 16)) return wrongId("span_id", 16);
  const parent = span.parent_id ?? "";
  // Some exporters send zeros for "no parent".
  if (parent === "" || parent === "0000000000000000") span.parent_id = null;
  else if (parent.length !== 16) return wrongId("parent_span_id", 16);
  return null;
}

function isHexId(id: string, digits: number): boolean {
  return id.length === digits && !/^0*$/.test(id);
}

function wrongId(field: string, digits: number): string {
  return `${field} must have ${digits / 2} bytes, not all zero`;
}
