import { LightningError } from "../../schemas/errors.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { onOneClock } from "../traces/clocks.ts";
import { attributesUnder } from "../traces/nested.ts";
import { inOrder, spansById } from "../traces/tree.ts";
import { type Grouped, grouped, isNothing } from "./grouped.ts";
import { lightSpan } from "./light-span.ts";

/** A tool call as OpenAI writes it. */
export type ToolCall = {
  readonly id: unknown;
  readonly type: unknown;
  readonly function: { readonly name: unknown; readonly arguments: unknown };
};

/** A chat message as OpenAI writes it. */
export type ChatMessage = {
  readonly role: string;
  readonly content: unknown;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly ToolCall[];
};

/** A function the model may call, as OpenAI writes it. */
export type ToolDefinition = {
  readonly type: "function";
  readonly function: {
    readonly name: unknown;
    readonly description: unknown;
    readonly parameters: unknown;
  };
};

/** One LLM call as a conversation that ends in its answer, with the tools that were offered. */
export type Conversation = {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ToolDefinition[] | null;
};

type Fields = Readonly<Record<string, unknown>>;

type ToolSpan = { readonly span: SpanRecorded; readonly fields: Fields };

const roles = ["developer", "system", "user", "assistant", "tool"] as const;

/**
 * The reference's `TraceToMessages` (reference/v0.3-behaviour.md, 3.9): a conversation for every span
 * that has `gen_ai.{prompt,completion,request,response}.*`, in the order in which they happened; nothing is
 * left out, a judge's calls neither. Tool calls of an answer are its child spans'.
 *
 * Three things are done differently: the text beside tool calls in the history stays (its defect H8),
 * an answer whose tool calls stand in its own attributes keeps them, and neither the order of the list
 * nor copies of spans count.
 *
 * @throws LightningError `record-invalid` naming span and attribute. O(n log n) in spans, linear in
 * attributes.
 */
export function conversationsOf(spans: readonly SpanRecorded[]): Conversation[] {
  return conversationsAsListed(asHappened(spans));
}

function asHappened(spans: readonly SpanRecorded[]): SpanRecorded[] {
  const recorded = spansById(spans);
  const ordered = inOrder(onOneClock([...recorded.values()].map(lightSpan)));
  return ordered.flatMap(({ span }) => recorded.get(span.span_id) ?? []);
}

/** The same in the order of the list, as the reference has them. */
export function conversationsAsListed(spans: readonly SpanRecorded[]): Conversation[] {
  const children = new Map<string, SpanRecorded[]>();
  for (const span of spans) {
    if (span.parent_id === null) continue;
    const siblings = children.get(span.parent_id) ?? [];
    children.set(span.parent_id, siblings);
    siblings.push(span);
  }
  return spans.flatMap((span) => {
    const read = (name: string) => groupOf(span, `gen_ai.${name}`);
    const [prompt, completion] = [read("prompt"), read("completion")];
    const [request, response] = [read("request"), read("response")];
    if ([prompt, completion, request, response].every(isNothing)) return [];
    objectIn(span, "gen_ai.response", response);
    const offered = objectIn(span, "gen_ai.request", request).functions;
    const tools = toolSpansOf(children.get(span.span_id) ?? []);
    const history = listIn(span, "gen_ai.prompt", prompt);
    const answers = listIn(span, "gen_ai.completion", completion);
    return {
      messages: [
        ...history.map((message, i) => historyMessage(span, `gen_ai.prompt.${i}`, message)),
        ...answers.flatMap((message, i) =>
          answerMessage(span, `gen_ai.completion.${i}`, message, tools),
        ),
      ],
      tools: offered === undefined ? null : definitionsOf(span, offered),
    };
  });
}

function groupOf(span: SpanRecorded, prefix: string): Grouped {
  return grouped(new Map(attributesUnder(span.attributes, prefix)));
}

function historyMessage(span: SpanRecorded, path: string, message: Fields): ChatMessage {
  const role = roleOf(span, path, message);
  if (role === "assistant" && "tool_calls" in message) {
    const tool_calls = ownToolCalls(span, path, message.tool_calls);
    return { role, content: message.content ?? null, tool_calls };
  }
  const content = message.content ?? (role === "assistant" && "content" in message ? null : "");
  if (typeof content !== "string" && !Array.isArray(content) && content !== null) {
    throw wrong(span, `${path}.content`, content, "a text or a list of parts");
  }
  if (role !== "tool") return { role, content };
  const tool_call_id = textIn(span, `${path}.tool_call_id`, message.tool_call_id);
  return { role, content, tool_call_id };
}

function roleOf(span: SpanRecorded, path: string, message: Fields): string {
  const role = roles.find((name) => name === message.role);
  if (role === undefined) throw wrong(span, `${path}.role`, message.role, roles.join(", "));
  return role;
}

/** Answers of other roles than the assistant are not the model's. */
function answerMessage(
  span: SpanRecorded,
  path: string,
  message: Fields,
  tools: readonly ToolSpan[],
): readonly ChatMessage[] {
  const { role, content = null } = message;
  if (role !== "assistant") return [];
  const own = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  const tool_calls = tools.length > 0 ? spannedToolCalls(tools) : ownToolCalls(span, path, own);
  return [{ role, content, ...(tool_calls.length > 0 && { tool_calls }) }];
}

function ownToolCalls(span: SpanRecorded, path: string, calls: unknown): readonly ToolCall[] {
  return listIn(span, `${path}.tool_calls`, calls).map((call, i) => {
    const at = `${path}.tool_calls.${i}`;
    const field = (name: string): unknown => fieldIn(span, `${at}.${name}`, call[name]);
    return {
      id: field("id"),
      type: "function",
      function: { name: field("name"), arguments: field("arguments") },
    };
  });
}

/** Tool calls that child spans carry. */
function toolSpansOf(children: readonly SpanRecorded[]): readonly ToolSpan[] {
  return children.flatMap((span) => {
    const tool = groupOf(span, "tool");
    return isNothing(tool) ? [] : [{ span, fields: objectIn(span, "tool", tool) }];
  });
}

function spannedToolCalls(tools: readonly ToolSpan[]): readonly ToolCall[] {
  return tools.map(({ span, fields }) => {
    const call = objectIn(span, "tool.call", fields.call);
    return {
      id: fieldIn(span, "tool.call.id", call.id),
      type: fieldIn(span, "tool.call.type", call.type),
      function: {
        name: fieldIn(span, "tool.name", fields.name),
        arguments: fieldIn(span, "tool.parameters", fields.parameters),
      },
    };
  });
}

function definitionsOf(span: SpanRecorded, offered: unknown): readonly ToolDefinition[] {
  return listIn(span, "gen_ai.request.functions", offered).map((definition, i) => {
    const at = `gen_ai.request.functions.${i}`;
    const { description = "" } = definition;
    const name = fieldIn(span, `${at}.name`, definition.name);
    const parameters = parametersOf(span, `${at}.parameters`, definition.parameters);
    return { type: "function", function: { name, description, parameters } };
  });
}

function parametersOf(span: SpanRecorded, path: string, read: unknown): unknown {
  const parameters = fieldIn(span, path, read);
  if (typeof parameters !== "string") return parameters;
  try {
    return JSON.parse(parameters);
  } catch {
    throw wrong(span, path, parameters, "JSON");
  }
}

function listIn(span: SpanRecorded, path: string, value: unknown): readonly Fields[] {
  if (isEmptyObject(value)) return [];
  if (!Array.isArray(value)) throw wrong(span, path, value, "a list (names with indexes)");
  return value.map((item, i) => objectIn(span, `${path}.${i}`, item));
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function objectIn(span: SpanRecorded, path: string, value: unknown): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(span, path, value, "fields with names");
}

function fieldIn(span: SpanRecorded, path: string, value: unknown): unknown {
  if (value === undefined) throw wrong(span, path, value, "a value");
  return value;
}

function textIn(span: SpanRecorded, path: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw wrong(span, path, value, "a text");
}

function wrong(span: SpanRecorded, path: string, read: unknown, allowed: string): LightningError {
  const shown = read === undefined ? "missing" : (JSON.stringify(read)?.slice(0, 80) ?? "");
  const message = `span ${span.span_id} (${span.name}): ${path} is ${shown}, allowed is ${allowed}`;
  return new LightningError("record-invalid", message, { field: path, span_id: span.span_id });
}
