import { noBytes, packFloat32, unpackFloat64 } from "../../schemas/bytes.ts";
import type { Call, SpanRecorded } from "../../schemas/types.ts";
import { countOf, idsOf, jsonOf, objectOf, textOf } from "./attributes.ts";
import { indexedMessages, listedMessages, type Message, type MessageReader } from "./messages.ts";
import { readToolDefinitions } from "./tools.ts";

/** One way of writing an LLM call into a span. */
export type CallConvention = {
  /** Who writes so, for people. */
  readonly by: string;
  readonly detects: (span: SpanRecorded) => boolean;
  /** Attribute names, the first present one counts. */
  readonly responseId: readonly string[];
  readonly model: readonly string[];
  readonly promptIds: readonly string[];
  readonly responseIds: readonly string[];
  readonly promptTokens: readonly string[];
  readonly completionTokens: readonly string[];
  /** The first that finds messages counts. */
  readonly messages: readonly MessageReader[];
  readonly completion: readonly MessageReader[];
};

/** The names that most writers share; rows say what they do differently. */
const genAi = {
  responseId: ["gen_ai.response.id"],
  model: ["gen_ai.response.model", "gen_ai.request.model"],
  promptIds: ["prompt_token_ids"],
  responseIds: ["response_token_ids"],
  promptTokens: ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
  completionTokens: ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
  messages: [indexedMessages("gen_ai.prompt"), listedMessages("gen_ai.input.messages")],
  completion: [indexedMessages("gen_ai.completion"), listedMessages("gen_ai.output.messages")],
} as const satisfies Partial<CallConvention>;

const output = "agentlightning.operation.output";

/** How LLM calls are written; the first row that detects a span reads it. */
export const callConventions: readonly CallConvention[] = [
  {
    ...genAi,
    by: "agentlightning's Weave tracer",
    detects: (span) =>
      span.name.includes("openai.chat.completion") && `${output}.id` in span.attributes.strings,
    responseId: ["gen_ai.response.id", `${output}.id`],
    model: [`${output}.model`, "agentlightning.operation.input.model"],
    promptIds: ["prompt_token_ids", `${output}.prompt_token_ids`],
    responseIds: [
      "response_token_ids",
      `${output}.response_token_ids.0`,
      `${output}.choices.0.token_ids`,
      `${output}.choices.0.provider_specific_fields.token_ids`,
    ],
    messages: [indexedMessages("agentlightning.operation.input.messages"), ...genAi.messages],
    completion: [weaveCompletion, ...genAi.completion],
  },
  {
    ...genAi,
    by: "AgentOps and the reference's default llm_call_match",
    detects: (span) => span.name.includes("openai.chat.completion"),
  },
  {
    ...genAi,
    by: "OpenLLMetry",
    detects: (span) => generates.has(kindOf(span, "gen_ai.request.type", "llm.request.type")),
  },
  {
    ...genAi,
    by: "OpenTelemetry GenAI and our own proxy",
    detects: (span) => generates.has(kindOf(span, "gen_ai.operation.name")),
  },
];

/** Kinds of request that make the model say something; embeddings and tools do not. */
const generates: ReadonlySet<string> = new Set([
  "chat",
  "completion",
  "text_completion",
  "generate_content",
]);

/**
 * The LLM call a span is, or null. A call that failed without a single token is none: there is no
 * action to learn from.
 */
export function readCall(span: SpanRecorded): Call | null {
  const convention = callConventions.find((row) => row.detects(span));
  if (convention === undefined) return null;
  const completion = firstOf(convention.completion, span)[0];
  const responseIds = idsOf(span, convention.responseIds) ?? noBytes;
  if (span.status_code === "ERROR" && completion === undefined && responseIds.length === 0) {
    return null;
  }
  const promptIds = idsOf(span, convention.promptIds) ?? noBytes;
  return {
    span_id: span.span_id,
    trace_id: span.trace_id,
    response_id: textOf(span, convention.responseId),
    model: textOf(span, convention.model) ?? "",
    policy_version: countOf(span, ["lightning.policy.version"]),
    messages: JSON.stringify(withInstructions(span, firstOf(convention.messages, span))),
    completion: JSON.stringify(completion ?? { role: "assistant", content: null }),
    tools: readToolDefinitions(span),
    prompt_ids: promptIds,
    response_ids: responseIds,
    logprobs: readLogprobs(span, responseIds.length / 4),
    finish_reason: readFinishReason(span),
    prompt_tokens: countOf(span, convention.promptTokens) ?? promptIds.length / 4,
    completion_tokens: countOf(span, convention.completionTokens) ?? responseIds.length / 4,
    start_time: span.start_time,
    end_time: span.end_time,
  };
}

function kindOf(span: SpanRecorded, ...names: string[]): string {
  return textOf(span, names) ?? "";
}

function firstOf(readers: readonly MessageReader[], span: SpanRecorded): readonly Message[] {
  for (const read of readers) {
    const messages = read(span);
    if (messages.length > 0) return messages;
  }
  return [];
}

/** OpenTelemetry GenAI keeps the system prompt in an attribute of its own. */
function withInstructions(span: SpanRecorded, messages: readonly Message[]): readonly Message[] {
  const parts = jsonOf(span, ["gen_ai.system_instructions"]);
  if (!Array.isArray(parts) || parts.length === 0) return messages;
  const text = parts.map((part) => objectOf(part)?.content ?? "").join("");
  return [{ role: "system", content: text }, ...messages];
}

/** Float32 per action token; nothing when a value is missing or the count is not that of the ids. */
function readLogprobs(span: SpanRecorded, tokens: number): Uint8Array {
  const packed = span.attributes.double_lists.logprobs;
  const values =
    packed !== undefined && packed.length % 8 === 0
      ? Array.from(unpackFloat64(packed))
      : listedLogprobs(span);
  const fits = tokens === 0 || values.length === tokens;
  return fits && values.every(Number.isFinite) ? packFloat32(values) : noBytes;
}

function listedLogprobs(span: SpanRecorded): number[] {
  const list = jsonOf(span, ["logprobs.content", "logprobs"]);
  if (!Array.isArray(list)) return [];
  return list.map((item) => {
    const value = typeof item === "number" ? item : objectOf(item)?.logprob;
    return typeof value === "number" ? value : Number.NaN;
  });
}

function readFinishReason(span: SpanRecorded): string | null {
  const said = textOf(span, [
    "gen_ai.completion.0.finish_reason",
    `${output}.choices.0.finish_reason`,
  ]);
  if (said !== null) return said;
  const list = jsonOf(span, ["gen_ai.response.finish_reasons"]);
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  return typeof first === "string" ? first : textOf(span, ["gen_ai.response.finish_reasons"]);
}

function weaveCompletion(span: SpanRecorded): readonly Message[] {
  const { strings } = span.attributes;
  const choice = `${output}.choices.0.message`;
  const content = strings[`${choice}.content`];
  if (content === undefined) return [];
  return [{ role: strings[`${choice}.role`] ?? "assistant", content }];
}
