import type { SpanRecorded } from "../../schemas/types.ts";
import { indexedUnder, jsonOf, objectOf, parsed, textOf } from "./attributes.ts";

type ToolConvention = {
  readonly name: readonly string[];
  readonly arguments: readonly string[];
  readonly id: readonly string[];
};

/** How spans say that they are a tool call. */
export const toolConventions: readonly ToolConvention[] = [
  // AgentOps: children of the completion span that asked for them
  { name: ["tool.name"], arguments: ["tool.parameters"], id: ["tool.call.id"] },
  // OpenTelemetry GenAI: execute_tool
  {
    name: ["gen_ai.tool.name"],
    arguments: ["gen_ai.tool.call.arguments"],
    id: ["gen_ai.tool.call.id"],
  },
];

/** An item of `tool_calls` in an OpenAI message. */
export type ToolCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
};

/** The tool call a span stands for, as the JSON text of a {@link ToolCall}, or null. */
export function readTool(span: SpanRecorded): string | null {
  for (const convention of toolConventions) {
    const name = textOf(span, convention.name);
    if (name === null) continue;
    const given =
      textOf(span, convention.arguments) ?? stringify(jsonOf(span, convention.arguments));
    return JSON.stringify(toolCall(textOf(span, convention.id) ?? span.span_id, name, given));
  }
  return null;
}

export function toolCall(id: string, name: string, given: string | null): ToolCall {
  return { id, type: "function", function: { name, arguments: given ?? "{}" } };
}

/**
 * Tool definitions the model was given, as JSON text of OpenAI `tools`: already in that form in
 * `gen_ai.tool.definitions`, or spread over `gen_ai.request.functions.<i>.*` (AgentOps, OpenLLMetry).
 */
export function readToolDefinitions(span: SpanRecorded): string | null {
  const whole = jsonOf(span, ["gen_ai.tool.definitions", "gen_ai.request.tools"]);
  if (Array.isArray(whole)) return JSON.stringify(whole.map(asTool));
  const functions = indexedUnder(span.attributes, "gen_ai.request.functions").map((fields) =>
    asTool(Object.fromEntries(fields)),
  );
  return functions.length === 0 ? null : JSON.stringify(functions);
}

function asTool(value: unknown): unknown {
  const tool = objectOf(value);
  if (tool === null || "function" in tool) return value;
  const { name, description, parameters } = tool;
  const schema = typeof parameters === "string" ? parsed(parameters) : parameters;
  return { type: "function", function: { name, description, parameters: schema } };
}

function stringify(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
