import type { SpanRecorded } from "../../schemas/types.ts";
import { indexedIn, indexedUnder, jsonOf, objectOf, parsed } from "./attributes.ts";
import { type ToolCall, toolCall } from "./tools.ts";

/** An OpenAI chat message. */
export type Message = {
  readonly role: string;
  readonly content: unknown;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
};

/** Reads messages of one spelling; an empty list: the spelling is not used here. */
export type MessageReader = (span: SpanRecorded) => readonly Message[];

/** `prefix.<i>.role/.content/.tool_call_id` and `.tool_calls.<j>.id/.name/.arguments`. */
export function indexedMessages(prefix: string): MessageReader {
  return (span) => indexedUnder(span.attributes, prefix).map(fromFields);
}

/**
 * A JSON list in one attribute: OpenAI messages, or OpenTelemetry GenAI's `{role, parts}`
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).
 */
export function listedMessages(...names: string[]): MessageReader {
  return (span) => {
    const list = jsonOf(span, names);
    return Array.isArray(list) ? list.flatMap(fromObject) : [];
  };
}

function fromFields(fields: Map<string, unknown>): Message {
  const calls = indexedIn(fields, "tool_calls").map((call) =>
    toolCall(
      textIn(call.get("id")),
      textIn(call.get("name") ?? call.get("function.name")),
      textIn(call.get("arguments") ?? call.get("function.arguments")),
    ),
  );
  const whole = calls.length === 0 ? fields.get("tool_calls") : undefined;
  const given = Array.isArray(whole) ? (whole as ToolCall[]) : calls;
  const id = fields.get("tool_call_id");
  return {
    role: textIn(fields.get("role") ?? "user"),
    content: contentIn(fields.get("content")),
    ...(given.length > 0 && { tool_calls: given }),
    ...(typeof id === "string" && { tool_call_id: id }),
  };
}

/** Content is text, or the JSON text of content parts when there are images among it. */
function contentIn(value: unknown): unknown {
  if (typeof value !== "string") return value ?? null;
  if (!value.startsWith("[{")) return value;
  const parts = parsed(value);
  const areParts = Array.isArray(parts) && parts.every((part) => "type" in (objectOf(part) ?? {}));
  return areParts ? parts : value;
}

function fromObject(value: unknown): Message[] {
  const message = objectOf(value);
  if (message === null) return [];
  const { parts, role } = message;
  if (!Array.isArray(parts)) return [{ content: null, ...message, role: textIn(role ?? "user") }];
  return fromParts(
    textIn(role ?? "user"),
    parts.map((part) => objectOf(part) ?? {}),
  );
}

/** Answers to tool calls become messages of their own, as OpenAI has them. */
function fromParts(role: string, parts: readonly Readonly<Record<string, unknown>>[]): Message[] {
  const answers = parts
    .filter((part) => part.type === "tool_call_response")
    .map((part) => ({
      role: "tool",
      content: textIn(part.response ?? part.result ?? part.content),
      tool_call_id: textIn(part.id),
    }));
  const calls = parts
    .filter((part) => part.type === "tool_call")
    .map((part) => toolCall(textIn(part.id), textIn(part.name), textIn(part.arguments ?? "{}")));
  const said = parts.filter(
    (part) => part.type !== "tool_call" && part.type !== "tool_call_response",
  );
  if (said.length === 0 && calls.length === 0) return answers;
  const message = {
    role,
    content: contentOf(said),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return [message, ...answers];
}

function contentOf(parts: readonly Readonly<Record<string, unknown>>[]): unknown {
  if (parts.length === 0) return null;
  if (parts.every((part) => part.type === "text")) {
    return parts.map((part) => textIn(part.content ?? part.text)).join("");
  }
  return parts;
}

function textIn(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}
