import type { SpanRecorded } from "../../schemas/types.ts";
import { idsAt, jsonAt, objectOf, textOf } from "./attributes.ts";
import { readBodies, readEventOutcome } from "./bodies.ts";
import {
  type CallNames,
  type CallParts,
  mergeParts,
  noNames,
  noParts,
  readNames,
} from "./call-parts.ts";
import {
  fieldsMessage,
  listedChoices,
  listedMessages,
  objectMessage,
  openInferenceMessage,
  partedMessage,
  spreadChoices,
  spreadMessages,
} from "./messages.ts";
import { nestedAt } from "./nested.ts";
import { remembered } from "./remembered.ts";
import { unprinted } from "./responses.ts";
import { readSpanEvents } from "./span-events.ts";
import { listedTools, openInferenceTools, spreadTools } from "./tools.ts";
import { vercelChoice } from "./vercel.ts";

const operationInput = "agentlightning.operation.input";
const operationOutput = "agentlightning.operation.output";
const outputObject = `${operationOutput}.object`;

/** Attributes that say what kind of request it was. */
const kindNames = ["gen_ai.request.type", "llm.request.type", "gen_ai.operation.name"];

const vercelCalls = /^ai\.\w+\.do(?:Generate|Stream)$/;

/** One way of writing an LLM call into a span. */
export type CallConvention = {
  /** Who writes so, for people. */
  readonly by: string;
  /** Without a span of such a name, or one of these attributes or of some below it, it detects nothing. */
  readonly spans?: RegExp;
  readonly attributes?: readonly string[];
  readonly detects: (span: SpanRecorded) => boolean;
  /** Each part of the call is taken from the first that has it; {@link genAi} stands behind them all. */
  readonly reads: readonly ((span: SpanRecorded) => CallParts)[];
};

/**
 * Names that most writers share: AgentOps and OpenLLMetry with `gen_ai.prompt.<i>.*`, OpenTelemetry
 * with `gen_ai.input.messages` (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), and
 * what Agent Lightning and our proxy put beside them.
 */
const genAiNames: CallNames = {
  ...noNames,
  responseId: ["gen_ai.response.id"],
  model: ["gen_ai.response.model", "gen_ai.request.model"],
  policyVersion: ["lightning.policy.version"],
  promptIds: ["prompt_token_ids"],
  responseIds: ["response_token_ids"],
  logprobs: ["logprobs"],
  finishReasons: ["gen_ai.response.finish_reasons"],
  promptTokens: ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
  completionTokens: ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
  temperature: ["gen_ai.request.temperature"],
  topP: ["gen_ai.request.top_p"],
  instructions: ["gen_ai.system_instructions"],
  messages: [
    spreadMessages("gen_ai.prompt", fieldsMessage),
    listedMessages("gen_ai.input.messages", objectMessage),
  ],
  completions: [
    spreadChoices("gen_ai.completion", fieldsMessage),
    listedChoices("gen_ai.output.messages", objectMessage),
  ],
  tools: [
    listedTools("gen_ai.tool.definitions"),
    listedTools("gen_ai.request.tools"),
    spreadTools("gen_ai.request.functions"),
    spreadTools("llm.request.functions"),
  ],
};

/** https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html */
const openInferenceNames: CallNames = {
  ...noNames,
  model: ["llm.model_name"],
  finishReasons: ["llm.finish_reason"],
  promptTokens: ["llm.token_count.prompt"],
  completionTokens: ["llm.token_count.completion"],
  parameters: ["llm.invocation_parameters"],
  messages: [spreadMessages("llm.input_messages", openInferenceMessage)],
  completions: [spreadChoices("llm.output_messages", openInferenceMessage)],
  tools: [openInferenceTools],
};

/** https://ai-sdk.dev/docs/ai-sdk-core/telemetry; the names before 4.0 and 5.0 come second. */
const vercelNames: CallNames = {
  ...noNames,
  responseId: ["ai.response.id"],
  model: ["ai.response.model", "ai.model.id"],
  finishReasons: ["ai.response.finishReason", "ai.finishReason"],
  promptTokens: ["ai.usage.inputTokens", "ai.usage.promptTokens"],
  completionTokens: ["ai.usage.outputTokens", "ai.usage.completionTokens"],
  temperature: ["ai.settings.temperature"],
  topP: ["ai.settings.topP"],
  messages: [listedMessages("ai.prompt.messages", partedMessage)],
  completions: [vercelChoice],
  tools: [listedTools("ai.prompt.tools")],
};

/** How LLM calls are written; the first row that detects a span reads it. */
export const callConventions: readonly CallConvention[] = [
  {
    // the event's `data`, field by field (reference/v1.0.md, 1.6)
    by: "Agent Lightning 1.0",
    spans: /^model_request$/,
    detects: (span) => span.name === "model_request",
    reads: [
      (span) => readBodies(nestedAt(span, "request"), nestedAt(span, "response")),
      readEventOutcome,
      names({ ...noNames, model: ["model"], policyVersion: ["model_version"] }),
    ],
  },
  {
    // https://docs.litellm.ai/docs/observability/opentelemetry_integration
    by: "LiteLLM, what its provider was sent",
    spans: /^raw_gen_ai_request$/,
    detects: (span) => span.name === "raw_gen_ai_request" && rawPrefix(span) !== null,
    reads: [readRawRequest],
  },
  {
    by: "LiteLLM, what it was asked",
    spans: /^litellm_request$/,
    detects: (span) =>
      span.name === "litellm_request" && (generates(span) || textOf(span, kindNames) === null),
    reads: [],
  },
  {
    // reference/v0.3-behaviour.md, 2.3: an operation whose output is OpenAI's answer
    by: "agentlightning's Weave tracer",
    attributes: [operationOutput],
    detects: isWeaveCall,
    reads: [(span) => readBodies(nestedAt(span, operationInput), nestedAt(span, operationOutput))],
  },
  {
    by: "OpenInference",
    attributes: ["openinference.span.kind"],
    detects: (span) => textOf(span, ["openinference.span.kind"]) === "LLM",
    reads: [names(openInferenceNames), readValues],
  },
  {
    // ai.generateText and ai.streamText stand around these and are no calls of their own
    by: "Vercel AI SDK",
    spans: vercelCalls,
    attributes: ["ai.operationId"],
    detects: (span) => vercelCalls.test(vercelOperation(span)),
    reads: [names(vercelNames)],
  },
  {
    by: "AgentOps and the reference's default llm_call_match",
    spans: /openai\.chat\.completion/,
    detects: (span) => span.name.includes("openai.chat.completion"),
    reads: [],
  },
  {
    // gen_ai.client.inference.operation.details is genAi's attributes on an event
    by: "OpenTelemetry GenAI, OpenLLMetry and our own proxy",
    attributes: kindNames,
    detects: generates,
    reads: [genAi, readDetails, readSpanEvents],
  },
  {
    by: "agents that write token ids themselves",
    attributes: ["prompt_token_ids"],
    detects: (span) =>
      idsAt(span, "prompt_token_ids") !== null && idsAt(span, "response_token_ids") !== null,
    reads: [],
  },
];

/** Attributes of which a call has one, under its name or below it, unless its span is named so. */
export const callAttributes: readonly string[] = callConventions.flatMap(
  ({ attributes = [] }) => attributes,
);

/** Whether spans of this name may be calls whatever their attributes. */
export const isNamedAsCall = remembered((name) =>
  callConventions.some(({ spans }) => spans?.test(name) === true),
);

/** What a span says about its call by one row of the table. */
export function readConvention(convention: CallConvention, span: SpanRecorded): CallParts {
  const [first, ...others] = convention.reads;
  if (first === undefined) return genAi(span);
  const said = others.reduce((parts, read) => mergeParts(parts, read(span)), first(span));
  return mergeParts(said, genAi(span));
}

/** Kinds of request that make the model say something; embeddings and tools do not. */
const generating: ReadonlySet<string> = new Set([
  "chat",
  "completion",
  "text_completion",
  "generate_content",
  // LiteLLM's names of its own functions
  "acompletion",
  "atext_completion",
  "anthropic_messages",
  "responses",
  "aresponses",
]);

function genAi(span: SpanRecorded): CallParts {
  return readNames(genAiNames, span);
}

function names(of: CallNames): (span: SpanRecorded) => CallParts {
  return (span) => readNames(of, span);
}

function generates({ attributes }: SpanRecorded): boolean {
  return kindNames.some((name) => generating.has(attributes.strings[name] ?? ""));
}

function isWeaveCall(span: SpanRecorded): boolean {
  const object = span.attributes.strings[outputObject];
  if (object === "chat.completion" || object === "text_completion") return true;
  if (object === "response") return nestedAt(span, `${operationOutput}.output`) !== undefined;
  const named = span.name.includes("openai.chat.completion");
  return named && nestedAt(span, operationOutput) !== undefined;
}

function vercelOperation(span: SpanRecorded): string {
  return textOf(span, ["ai.operationId"]) ?? span.name;
}

/**
 * `llm.<provider>` of a request for messages or text, whose fields or object embeddings do not have;
 * the first by name, so that the order of attributes says nothing.
 */
function rawPrefix({ attributes }: SpanRecorded): string | null {
  let least: string | null = null;
  for (const kind of ["strings", "json", "int_lists"] as const) {
    for (const name in attributes[kind]) {
      const [, prefix, field] =
        /^(llm\.[^.]+)\.(choices|messages|prompt_token_ids|content|object)$/.exec(name) ?? [];
      if (prefix === undefined || (least !== null && least <= prefix)) continue;
      if (field !== "object" || attributes[kind][name] === "response") least = prefix;
    }
  }
  return least;
}

function readRawRequest(span: SpanRecorded): CallParts {
  const body = nestedAt(span, rawPrefix(span) ?? "");
  const fields = unprinted(objectOf(body) ?? {});
  return readBodies(fields, fields);
}

/** OpenInference's `input.value` and `output.value` are the bodies when they are JSON. */
function readValues(span: SpanRecorded): CallParts {
  const response = objectOf(jsonAt(span, "output.value"));
  return response !== null && ("choices" in response || response.object === "response")
    ? readBodies(jsonAt(span, "input.value"), response)
    : noParts;
}

function readDetails(span: SpanRecorded): CallParts {
  const name = "gen_ai.client.inference.operation.details";
  const event = span.events.find((each) => each.name === name);
  return event === undefined ? noParts : readNames(genAiNames, event);
}
