import type { SpanRecorded } from "../../schemas/types.ts";
import {
  type Attributed,
  jsonOf,
  listOf,
  objectOf,
  parsed,
  stringOf,
  textOf,
} from "./attributes.ts";
import { quoted } from "./json-text.ts";
import { itemsOf, nestedAt } from "./nested.ts";

type ToolConvention = {
  /** Spans the names mean a tool call on; absent: all. */
  readonly when?: (span: SpanRecorded) => boolean;
  readonly name: readonly string[];
  readonly arguments: readonly string[];
  readonly id: readonly string[];
};

/** How spans say that they are a tool call; the first row that yields a name wins. */
export const toolConventions: readonly ToolConvention[] = [
  // OpenInference: tool.parameters are the definition's, the arguments are the input
  // (https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html)
  {
    when: (span) => textOf(span, ["openinference.span.kind"]) === "TOOL",
    name: ["tool.name"],
    arguments: ["input.value"],
    id: ["tool_call.id", "tool.id"],
  },
  // AgentOps: children of the completion span that asked for them (reference/v0.3-behaviour.md, 2.4)
  { name: ["tool.name"], arguments: ["tool.parameters"], id: ["tool.call.id"] },
  // OpenTelemetry GenAI: execute_tool
  // (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/#execute-tool-span)
  {
    name: ["gen_ai.tool.name"],
    arguments: ["gen_ai.tool.call.arguments"],
    id: ["gen_ai.tool.call.id"],
  },
  // Vercel: ai.toolCall (https://ai-sdk.dev/docs/ai-sdk-core/telemetry#tool-call-spans)
  { name: ["ai.toolCall.name"], arguments: ["ai.toolCall.args"], id: ["ai.toolCall.id"] },
  // OpenLLMetry (https://www.traceloop.com/docs/openllmetry/tracing/annotations)
  {
    when: (span) => textOf(span, ["traceloop.span.kind"]) === "tool",
    name: ["traceloop.entity.name"],
    arguments: ["traceloop.entity.input"],
    id: [],
  },
];

/** Attributes of which a span that is a tool call has one. */
export const toolAttributes: readonly string[] = toolConventions.flatMap((row) => row.name);

/** An item of `tool_calls` in an OpenAI message. */
export type ToolCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
};

/** Reads the tools a model was given, in OpenAI's form; an empty list: the spelling is not used here. */
export type ToolsReader = (of: Attributed) => readonly unknown[];

/** The tool call a span stands for, as the JSON text of a {@link ToolCall}, or null. */
export function readTool(span: SpanRecorded): string | null {
  for (const convention of toolConventions) {
    const name = textOf(span, convention.name);
    if (name === null || convention.when?.(span) === false) continue;
    const given =
      textOf(span, convention.arguments) ?? stringify(jsonOf(span, convention.arguments));
    return toolCallText(toolCall(textOf(span, convention.id) ?? span.span_id, name, given));
  }
  return null;
}

export function toolCall(id: string, name: string, given: string | null): ToolCall {
  return { id, type: "function", function: { name, arguments: given ?? "{}" } };
}

/** The JSON text of a tool call, as `JSON.stringify` writes it, in a third of the time. */
export function toolCallText({ id, function: { name, arguments: given } }: ToolCall): string {
  const called = `{"name":${quoted(name)},"arguments":${quoted(given)}}`;
  return `{"id":${quoted(id)},"type":"function","function":${called}}`;
}

/** Definitions as a JSON list in one attribute, or the JSON text of each in a list. */
export function listedTools(name: string): ToolsReader {
  return (of) => listOf(jsonOf(of, [name])).flatMap(asTool);
}

/** Definitions taken apart into `prefix.<i>.name/.description/.parameters`. */
export function spreadTools(prefix: string): ToolsReader {
  return (of) => itemsOf(nestedAt(of, prefix)).flatMap(asTool);
}

/** OpenInference: `llm.tools.<i>.tool.json_schema` is the JSON text of a definition. */
export function openInferenceTools(of: Attributed): readonly unknown[] {
  const tools = itemsOf(nestedAt(of, "llm.tools"));
  return tools.flatMap((tool) => asTool(objectOf(objectOf(tool)?.tool)?.json_schema));
}

/** One definition in OpenAI's form, or nothing: Vercel names the schema inputSchema, Anthropic input_schema. */
export function asTool(value: unknown): readonly unknown[] {
  const tool = objectOf(typeof value === "string" ? parsed(value) : value);
  if (tool === null || "function" in tool) return tool === null ? [] : [tool];
  const { name, description } = tool;
  const given = tool.parameters ?? tool.inputSchema ?? tool.input_schema;
  const parameters = parsed(stringOf(given) ?? "") ?? given;
  return [{ type: "function", function: { name, description, parameters } }];
}

function stringify(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
