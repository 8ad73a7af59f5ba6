import { type Attributed, jsonAt, listOf, objectOf, parsed, stringOf } from "./attributes.ts";
import { entriesOf, itemsOf, nestedAt } from "./nested.ts";
import { isForeignPart, readParts, textIn } from "./parts.ts";
import { type ToolCall, toolCall } from "./tools.ts";

/** An OpenAI chat message. */
export type Message = {
  readonly role: string;
  readonly content: unknown;
  /** What a reasoning model thought before, as vLLM and others name it. */
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
};

type Fields = Readonly<Record<string, unknown>>;

/** One message of some dialect; answers to tool calls become messages of their own. */
type MessageDialect = (value: unknown) => readonly Message[];

/** Reads a conversation from attributes of one spelling; an empty list: it is not used here. */
export type MessageReader = (of: Attributed) => readonly Message[];

/** What was generated as one choice, and why generation stopped when that stands beside it. */
export type Said = { readonly message: Message; readonly finish: string | null };

/** Reads what was generated, by index of the choice; empty: the spelling is not used here. */
export type ChoiceReader = (of: Attributed) => ReadonlyMap<number, Said>;

/** Messages taken apart into `prefix.<i>.…`, or whole as JSON under the prefix. */
export function spreadMessages(prefix: string, dialect: MessageDialect): MessageReader {
  return (of) => messagesIn(itemsOf(nestedAt(of, prefix)), dialect);
}

/** The same for choices, one message each. */
export function spreadChoices(prefix: string, dialect: MessageDialect): ChoiceReader {
  return (of) => choicesIn(entriesOf(nestedAt(of, prefix)), dialect);
}

/** A JSON list in one attribute. */
export function listedMessages(name: string, dialect: MessageDialect): MessageReader {
  return (of) => messagesIn(listOf(jsonAt(of, name)), dialect);
}

/** A JSON list in one attribute, one message per choice. */
export function listedChoices(name: string, dialect: MessageDialect): ChoiceReader {
  return (of) => choicesIn(entriesOf(jsonAt(of, name)), dialect);
}

/** `role`, `content`, `tool_call_id` and `tool_calls.<j>.id/.name/.arguments` (AgentOps, OpenLLMetry). */
export function fieldsMessage(value: unknown): readonly Message[] {
  const fields = objectOf(value);
  if (fields === null) return [];
  const { tool_calls, tool_call_id } = fields;
  const message = { role: textIn(fields.role ?? "user"), content: contentIn(fields.content) };
  if (tool_calls === undefined && tool_call_id === undefined && !Array.isArray(message.content)) {
    return [message];
  }
  const calls = itemsOf(tool_calls).map((call) => spreadCall(objectOf(call) ?? {}));
  const id = stringOf(tool_call_id);
  return objectMessage({
    ...message,
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(id !== null && { tool_call_id: id }),
  });
}

/**
 * OpenAI messages, kept as they are; OpenTelemetry's `{role, parts}`, and messages of Vercel and
 * Anthropic, which are known by the content parts only they have.
 */
export function objectMessage(value: unknown): readonly Message[] {
  const message = objectOf(value);
  if (message === null) return [];
  const { parts, content } = message;
  if (Array.isArray(parts)) return fromParts(message, parts);
  const foreign = Array.isArray(content) && content.some(isForeignPart);
  if (foreign) return fromParts(message, content);
  const role = textIn(message.role ?? "user");
  return [{ ...{ role, content: null }, ...message, role }];
}

/** Vercel's prompts, in which content is always a list of parts except for the system's. */
export function partedMessage(value: unknown): readonly Message[] {
  const message = objectOf(value);
  if (message === null) return [];
  const { content } = message;
  return Array.isArray(content) ? fromParts(message, content) : objectMessage(message);
}

/** OpenInference: everything stands below `message.`, content parts below `message.contents.<j>.`. */
export function openInferenceMessage(value: unknown): readonly Message[] {
  const message = objectOf(objectOf(value)?.message);
  if (message === null) return [];
  const parts = itemsOf(message.contents).map(openInferencePart);
  const calls = itemsOf(message.tool_calls).map((call) =>
    spreadCall(objectOf(objectOf(call)?.tool_call) ?? {}),
  );
  const id = stringOf(message.tool_call_id);
  return [
    {
      role: textIn(message.role ?? "user"),
      content: parts.length > 0 ? readParts(parts).content : (message.content ?? null),
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(id !== null && { tool_call_id: id }),
    },
  ];
}

function openInferencePart(value: unknown): unknown {
  const part = objectOf(objectOf(value)?.message_content);
  const image = objectOf(objectOf(part?.image)?.image);
  return typeof image?.url === "string"
    ? { type: "image_url", image_url: { url: image.url } }
    : (part ?? value);
}

/** A message made of parts: OpenAI has the answers of tools before what the user says next. */
function fromParts(message: Fields, parts: readonly unknown[]): readonly Message[] {
  const role = textIn(message.role ?? "user");
  const { content, reasoning, calls, answers } = readParts(parts);
  const given = calls.length > 0 ? calls : (listOf(message.tool_calls) as readonly ToolCall[]);
  if (content === null && reasoning === "" && given.length === 0) return answers;
  const said = {
    role,
    content,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(given.length > 0 && { tool_calls: given }),
  };
  return role === "assistant" ? [said, ...answers] : [...answers, said];
}

function choicesIn(
  entries: readonly (readonly [number, unknown])[],
  dialect: MessageDialect,
): ReadonlyMap<number, Said> {
  const choices = new Map<number, Said>();
  for (const [i, value] of entries) {
    const [message] = dialect(value);
    if (message === undefined) continue;
    const finish = stringOf(objectOf(value)?.finish_reason);
    choices.set(i, { message: assistant(message, value), finish });
  }
  return choices;
}

function messagesIn(values: readonly unknown[], dialect: MessageDialect): readonly Message[] {
  const messages: Message[] = [];
  for (const value of values) for (const message of dialect(value)) messages.push(message);
  return messages;
}

/** Who generates is the assistant, also where the writer does not say so. */
function assistant(message: Message, value: unknown): Message {
  const fields = objectOf(value);
  const said = objectOf(fields?.message)?.role ?? fields?.role;
  return said === undefined ? { ...message, role: "assistant" } : message;
}

/** `{id, name, arguments}` or `{id, function: {name, arguments}}`. */
function spreadCall(call: Fields): ToolCall {
  const named = objectOf(call.function) ?? call;
  const given = named.arguments;
  return toolCall(textIn(call.id), textIn(named.name), given === undefined ? null : textIn(given));
}

/** Content is text, or the JSON text of content parts when there are images among it. */
function contentIn(value: unknown): unknown {
  if (typeof value !== "string") return value ?? null;
  if (!value.startsWith("[{")) return value;
  const parts = parsed(value);
  const areParts = Array.isArray(parts) && parts.every((part) => "type" in (objectOf(part) ?? {}));
  return areParts ? parts : value;
}
