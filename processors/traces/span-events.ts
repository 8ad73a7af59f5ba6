import type { SpanRecorded } from "../../schemas/types.ts";
import {
  type Attributed,
  jsonOf,
  numberOf,
  objectOf,
  stringOf,
  structured,
  textOf,
} from "./attributes.ts";
import { type CallParts, noParts } from "./call-parts.ts";
import { type Message, objectMessage } from "./messages.ts";
import { nestedAt } from "./nested.ts";

/**
 * Events of earlier GenAI conventions that carry one message each, and the role it has when the event
 * does not say (https://github.com/open-telemetry/semantic-conventions/blob/v1.36.0/docs/gen-ai/gen-ai-events.md).
 */
const messageEvents: Readonly<Record<string, string>> = {
  "gen_ai.system.message": "system",
  "gen_ai.user.message": "user",
  "gen_ai.assistant.message": "assistant",
  "gen_ai.tool.message": "tool",
};

/** Events with a whole list of messages, from before those (semantic conventions 1.27). */
const listEvents: Readonly<Record<string, string>> = {
  "gen_ai.content.prompt": "gen_ai.prompt",
  "gen_ai.content.completion": "gen_ai.completion",
};

/** What span events say about a call; `gen_ai.choice` is one choice each. In the events' own order. */
export function readSpanEvents(span: SpanRecorded): CallParts {
  const { events } = span;
  if (events.length === 0) return noParts;
  const choices = events.filter(({ name }) => name === "gen_ai.choice").map(readChoice);
  const reasons = choices.flatMap(({ index, finish }) =>
    finish === null ? [] : [pair(index, finish)],
  );
  const said = choices.map(({ index, message }) => pair(index, message));
  const listed = listedIn(span, "gen_ai.content.completion").map((message, i) => pair(i, message));
  const asked = events.flatMap(readMessage);
  return {
    ...noParts,
    messages: asked.length > 0 ? asked : listedIn(span, "gen_ai.content.prompt"),
    completions: new Map(said.length > 0 ? said : listed),
    finishReasons: new Map(reasons),
  };
}

function readMessage(event: { readonly name: string } & Attributed): readonly Message[] {
  const role = Object.hasOwn(messageEvents, event.name) ? messageEvents[event.name] : undefined;
  if (role === undefined) return [];
  const id = textOf(event, ["id", "tool_call_id"]);
  return objectMessage({
    role: textOf(event, ["role"]) ?? role,
    content: contentOf(event, "content"),
    ...toolCallsOf(event, "tool_calls"),
    ...(role === "tool" && id !== null && { tool_call_id: id }),
  });
}

/** `message` is an object, whole or taken apart, or the text itself. */
function readChoice(event: Attributed): {
  readonly index: number;
  readonly message: Message;
  readonly finish: string | null;
} {
  const whole = nestedAt(event, "message") ?? textOf(event, ["message", "content"]);
  const fields = objectOf(structured(whole)) ?? { content: whole ?? null };
  const [message] = objectMessage({
    ...fields,
    ...toolCallsOf(event, "tool_calls"),
    role: "assistant",
  });
  return {
    index: numberOf(event, ["index"]) ?? 0,
    message: message ?? { role: "assistant", content: null },
    finish: textOf(event, ["finish_reason"]),
  };
}

function listedIn(span: SpanRecorded, name: string): readonly Message[] {
  const event = span.events.find((each) => each.name === name);
  const list = event === undefined ? [] : jsonOf(event, [listEvents[name] ?? ""]);
  return Array.isArray(list) ? list.flatMap(objectMessage) : [];
}

function contentOf(event: Attributed, name: string): unknown {
  return textOf(event, [name]) ?? nestedAt(event, name) ?? null;
}

function toolCallsOf(event: Attributed, name: string): { readonly tool_calls?: unknown } {
  const calls = structured(stringOf(event.attributes.strings[name]) ?? nestedAt(event, name));
  return Array.isArray(calls) && calls.length > 0 ? { tool_calls: calls } : {};
}

function pair<T>(index: number, value: T): [number, T] {
  return [index, value];
}
