import { noBytes, packFloat32 } from "../../schemas/bytes.ts";
import type { Call, Choice, SpanRecorded } from "../../schemas/types.ts";
import { numberOf, textOf } from "./attributes.ts";
import { type CallParts, finite } from "./call-parts.ts";
import { callConventions, readConvention } from "./conventions.ts";
import { messagesText, messageText } from "./message-text.ts";
import { subjects, subjectsOf } from "./subjects.ts";

/** Whether a span is an LLM call of a known convention: {@link readCall} finds one. */
export function isCall(span: SpanRecorded): boolean {
  return (
    (subjectsOf(span) & subjects.call) !== 0 && callConventions.some((row) => row.detects(span))
  );
}

/**
 * The LLM call a span is, or null. A call that failed without generating anything is one with an
 * error: there is no action to learn from, but somebody may ask what became of it.
 */
export function readCall(span: SpanRecorded): Call | null {
  const convention = callConventions.find((row) => row.detects(span));
  return convention === undefined ? null : callOf(span, readConvention(convention, span));
}

function callOf(span: SpanRecorded, parts: CallParts): Call {
  const [first, ...others] = choicesOf(parts);
  const promptIds = parts.promptIds ?? noBytes;
  const { completion, response_ids, logprobs, finish_reason } = first ?? silent;
  return {
    span_id: span.span_id,
    trace_id: span.trace_id,
    response_id: parts.responseId,
    model: parts.model ?? "",
    policy_version: parts.policyVersion,
    messages: messagesText(parts.messages),
    completion,
    tools: parts.tools.length > 0 ? JSON.stringify(parts.tools) : null,
    prompt_ids: promptIds,
    response_ids,
    logprobs,
    finish_reason,
    prompt_tokens: parts.promptTokens ?? promptIds.length / 4,
    completion_tokens: parts.completionTokens ?? response_ids.length / 4,
    start_time: span.start_time,
    end_time: span.end_time,
    state_id: readStateId(span),
    potential: finite(numberOf(span, ["lightning.state.potential"])),
    temperature: parts.temperature,
    top_p: parts.topP,
    error: parts.error ?? (first === undefined ? failureOf(span) : null),
    choices: others,
    previous_response_id: parts.previousResponseId,
    instructions: parts.instructions,
  };
}

const silent: Choice = {
  completion: JSON.stringify({ role: "assistant", content: null }),
  response_ids: noBytes,
  logprobs: noBytes,
  finish_reason: null,
};

/** Everything the model generated, in the order of the choices. */
function choicesOf(parts: CallParts): readonly Choice[] {
  const { completions, responseIds } = parts;
  const indexes = [...completions.keys()];
  for (const index of responseIds.keys()) if (!completions.has(index)) indexes.push(index);
  if (indexes.length > 1) indexes.sort((a, b) => a - b);
  return indexes.map((index) => choiceAt(parts, index));
}

function choiceAt(parts: CallParts, index: number): Choice {
  const ids = parts.responseIds.get(index) ?? noBytes;
  const message = parts.completions.get(index);
  return {
    completion: message === undefined ? silent.completion : messageText(message),
    response_ids: ids,
    logprobs: packLogprobs(parts.logprobs.get(index) ?? [], ids.length / 4),
    finish_reason: parts.finishReasons.get(index) ?? null,
  };
}

/** Float32 per action token; nothing when a value is missing or the count is not that of the ids. */
function packLogprobs(values: readonly number[], tokens: number): Uint8Array {
  const fits = tokens === 0 || values.length === tokens;
  return fits && values.length > 0 && values.every(Number.isFinite) ? packFloat32(values) : noBytes;
}

function readStateId(span: SpanRecorded): string | null {
  const id = textOf(span, ["lightning.state.id"]) ?? numberOf(span, ["lightning.state.id"]);
  return id === null ? null : String(id);
}

/** Why a call that generated nothing failed; null when its span does not say that it did. */
function failureOf(span: SpanRecorded): string | null {
  if (span.status_code !== "ERROR") return null;
  const thrown = span.events.find(({ name }) => name === "exception");
  const said =
    thrown === undefined ? null : textOf(thrown, ["exception.message", "exception.type"]);
  const named = textOf(span, [
    "exception.message",
    "error.message",
    "error.type",
    "exception.type",
  ]);
  return (span.status_message || said) ?? named ?? "the span ended with status ERROR";
}
