import { createHash } from "node:crypto";
import type { TransitionRecorded } from "../../../schemas/types.ts";
import { type Column, jsonOf } from "./kind.ts";

/** An OpenAI chat message, with the fields that trainers and fine-tuning services take. */
export type ChatMessage = {
  readonly role: string;
  readonly content: unknown;
  readonly name?: unknown;
  readonly tool_calls?: unknown;
  readonly tool_call_id?: unknown;
};

/** What the model saw and then said, and the tools it had. */
export type Conversation = {
  readonly transition: TransitionRecorded;
  /** The last message is the completion. */
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly unknown[] | null;
};

/** ClickHouse's type of a list of messages; content of several parts is JSON text there. */
export const messagesSql =
  "Array(Tuple(role String, content Nullable(String), name Nullable(String), " +
  "tool_calls Array(Tuple(id String, type String, function Tuple(name String, arguments String))), " +
  "tool_call_id Nullable(String)))";

export const toolsColumn: Column = {
  name: "tools",
  sql: "Nullable(String)",
  json: true,
  doc: "tool definitions as the API takes them; JSONL leaves it out where there are none",
};

/** The conversation of a transition, or why there is none. */
export function conversationOf(transition: TransitionRecorded): Conversation | string {
  const seen = jsonOf(transition.messages);
  const said = messageOf(jsonOf(transition.completion));
  if (said === null || (isEmpty(said.content) && said.tool_calls === undefined)) {
    return "empty-response";
  }
  if (!Array.isArray(seen) || seen.length === 0) return "no-messages";
  const messages = seen.map(messageOf);
  if (!messages.every((message) => message !== null)) return "messages-unreadable";
  const tools = jsonOf(transition.tools);
  return {
    transition,
    messages: [...messages, said],
    tools: Array.isArray(tools) && tools.length > 0 ? tools : null,
  };
}

function isEmpty(content: unknown): boolean {
  return content === null || content === "" || (Array.isArray(content) && content.length === 0);
}

function messageOf(value: unknown): ChatMessage | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { role, content, name, tool_calls, tool_call_id } = value as Partial<ChatMessage>;
  if (typeof role !== "string") return null;
  return {
    role,
    content: content ?? null,
    ...(typeof name === "string" && { name }),
    ...(Array.isArray(tool_calls) && tool_calls.length > 0 && { tool_calls }),
    ...(typeof tool_call_id === "string" && { tool_call_id }),
  };
}

/**
 * The conversations of a rollout that no later call goes on with. Each prefix is known by a digest
 * that grows message by message, so the cost is that of the text.
 */
export function wholeConversations(conversations: readonly Conversation[]): Conversation[] {
  const continued = new Set<string>();
  const whole: Conversation[] = [];
  for (const conversation of conversations.toReversed()) {
    const digests = digestsOf(conversation.messages);
    if (!continued.has(digests.at(-1) ?? "")) whole.push(conversation);
    for (const digest of digests.slice(0, -1)) continued.add(digest);
  }
  return whole.reverse();
}

function digestsOf(messages: readonly ChatMessage[]): string[] {
  let before = "";
  return messages.map((message) => {
    before = createHash("sha256").update(before).update(textOf(message)).digest("base64");
    return before;
  });
}

/** A message as text that is the same for the same message; empty and absent text are one. */
export function textOf({ role, content, name, tool_calls, tool_call_id }: ChatMessage): string {
  const said = isEmpty(content) ? null : content;
  return JSON.stringify([role, said, name ?? null, tool_calls ?? null, tool_call_id ?? null]);
}
