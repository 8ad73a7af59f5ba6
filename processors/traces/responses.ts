import { idsIn, listOf, objectOf, stringOf, structured } from "./attributes.ts";
import { type CallParts, logprobsIn } from "./call-parts.ts";
import type { Message } from "./messages.ts";
import { readParts, textIn } from "./parts.ts";
import { asTool, type ToolCall, toolCall } from "./tools.ts";

type Json = Readonly<Record<string, unknown>>;

/** What bodies of the Responses API say in another way than those of chat completions. */
type ResponsesParts = Pick<
  CallParts,
  | "messages"
  | "instructions"
  | "previousResponseId"
  | "tools"
  | "promptIds"
  | "completions"
  | "responseIds"
  | "logprobs"
  | "finishReasons"
>;

/**
 * Whether these are bodies of OpenAI's Responses API. The answer says so itself; where there is none,
 * the request must have what no other API with an `input` has (embeddings and speech do have one).
 */
export function isResponses(asked: Json, said: Json): boolean {
  if (said.object === "response") return true;
  if (asked.input === undefined || "messages" in asked || "prompt_token_ids" in asked) return false;
  if (listOf(structured(said.output)).some(isItem)) return true;
  const answered = ["choices", "data", "content", "output"].some((name) => name in said);
  return !answered && ("previous_response_id" in asked || listOf(asked.input).some(isItem));
}

/**
 * Reads them (https://platform.openai.com/docs/api-reference/responses). What the model made in a row,
 * reasoning, texts and function calls, is one assistant message, be it output or input: so a
 * conversation reads the same whether it is sent again or continued by `previous_response_id`. Items
 * and parts of unknown type stay as they are, as content parts. Token ids are vLLM's
 * (`enable_response_messages`, https://docs.vllm.ai/en/stable/api/vllm/entrypoints/openai/responses/protocol/).
 */
export function readResponses(asked: Json, said: Json): ResponsesParts {
  const output = listOf(structured(said.output));
  const instructions = instructionsOf(asked.instructions ?? said.instructions);
  const tools = listOf(structured(asked.tools ?? said.tools));
  const [completion] = conversationOf(output.map(generated));
  const responseIds = idsIn(said.response_token_ids) ?? tokensOf(said.output_messages);
  const logprobs = logprobsOf(output);
  return {
    messages: [...instructions, ...inputOf(asked.input)],
    instructions: instructions.length,
    previousResponseId: stringOf(asked.previous_response_id ?? said.previous_response_id),
    tools: tools.flatMap((tool) => (objectOf(tool)?.type === "function" ? asTool(tool) : [tool])),
    promptIds: idsIn(said.prompt_token_ids) ?? tokensOf(said.input_messages),
    completions: new Map(completion === undefined ? [] : [[0, completion]]),
    responseIds: new Map(responseIds === null ? [] : [[0, responseIds]]),
    logprobs: new Map(logprobs === null ? [] : [[0, logprobs]]),
    finishReasons: finishReasonOf(said, completion),
  };
}

/** The answer at the end of a stream's events, or null when these are no such events. */
export function answerInEvents(events: readonly Json[]): Json | null {
  const last = events.findLast(({ type }) =>
    /^response\.(?:completed|incomplete|failed)$/.test(textIn(type)),
  );
  return objectOf(last?.response);
}

/** LiteLLM prints what is no text, and nothing as `None` or an empty text: its lists of items are lists again. */
export function unprinted(body: Json): Json {
  if (body.object !== "response") return body;
  const said = Object.entries(body).filter(([, value]) => value !== "" && value !== "None");
  const items = (value: unknown): unknown => {
    const list = structured(value);
    return Array.isArray(list) && list.length > 0 && list.every(isItem) ? list : value;
  };
  return Object.fromEntries(
    said.map(([name, value]) => [
      name,
      name === "input" || name === "instructions" ? items(value) : value,
    ]),
  );
}

/** An item of a conversation names its type, or who said it. */
function isItem(value: unknown): boolean {
  const item = objectOf(value);
  return typeof item?.type === "string" || typeof item?.role === "string";
}

function instructionsOf(value: unknown): readonly Message[] {
  if (Array.isArray(value)) return conversationOf(value);
  return typeof value === "string" && value !== "" ? [{ role: "system", content: value }] : [];
}

function inputOf(value: unknown): readonly Message[] {
  if (typeof value === "string") return [{ role: "user", content: value }];
  return conversationOf(listOf(value));
}

/** What one model made in a row, as long as it goes on. */
type Turn = { texts: unknown[][]; reasoning: string[]; calls: ToolCall[] };

function conversationOf(items: readonly unknown[]): Message[] {
  const messages: Message[] = [];
  let turn = newTurn();
  const endTurn = (): void => {
    const message = messageOf(turn);
    if (message !== null) messages.push(message);
    turn = newTurn();
  };
  for (const value of items) {
    const item = objectOf(value);
    if (item !== null && isMade(item)) {
      addToTurn(turn, item);
    } else {
      endTurn();
      messages.push(item === null ? { role: "user", content: [value] } : givenMessage(item));
    }
  }
  endTurn();
  return messages;
}

function newTurn(): Turn {
  return { texts: [], reasoning: [], calls: [] };
}

/** OpenAI names what a model asks for `…_call` and what it was answered `…_call_output`. */
function isMade({ type, role }: Json): boolean {
  return role === "assistant" || type === "reasoning" || /_call$/.test(textIn(type));
}

/** An item of an output: whoever generates is the assistant. */
function generated(value: unknown): unknown {
  const item = objectOf(value);
  return item === null ? { role: "assistant", content: [value] } : { ...item, role: "assistant" };
}

function addToTurn(turn: Turn, item: Json): void {
  const { type } = item;
  if (type === "function_call") {
    const id = textIn(item.call_id ?? item.id);
    turn.calls.push(toolCall(id, textIn(item.name), textIn(item.arguments ?? "{}")));
  } else if (type === "reasoning") {
    const texts = [item.content, item.summary].map((list) => listOf(list).map(thoughtOf));
    turn.reasoning.push(...(texts.find((list) => list.length > 0) ?? []));
  } else if (type === "message" || type === undefined) {
    turn.texts.push(partsOf(item.content));
  } else {
    const { role, ...kept } = item;
    turn.texts.push([role === "assistant" ? kept : item]);
  }
}

function thoughtOf(part: unknown): string {
  return textIn(objectOf(part)?.text ?? part);
}

/** Several texts stay several, so that it can be seen where one ended. */
function messageOf({ texts, reasoning, calls }: Turn): Message | null {
  const parts = texts.flat();
  if (parts.length === 0 && reasoning.length === 0 && calls.length === 0) return null;
  const content = texts.length > 1 ? parts : readParts(parts).content;
  return {
    role: "assistant",
    content,
    ...(reasoning.length > 0 && { reasoning_content: reasoning.join("\n") }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

/** What others than the model said, or what is of unknown type and names nobody. */
function givenMessage(item: Json): Message {
  const { type, role, content, call_id, output } = item;
  if (typeof role === "string" && (type === "message" || type === undefined)) {
    return { role, content: readParts(partsOf(content)).content };
  }
  if (!/_call_output$/.test(textIn(type))) return { role: textIn(role ?? "user"), content: [item] };
  const known = type === "function_call_output" || type === "custom_tool_call_output";
  const answer = known ? readParts(partsOf(output)).content : [item];
  return { role: "tool", content: answer, tool_call_id: textIn(call_id) };
}

/** Content parts as chat completions have them; content is text, or a list of parts. */
function partsOf(content: unknown): unknown[] {
  if (content === undefined || content === null) return [];
  return (Array.isArray(content) ? content : [content]).map(partOf);
}

function partOf(value: unknown): unknown {
  const part = objectOf(value);
  if (part?.type === "input_text" || part?.type === "output_text") {
    return { type: "text", text: textIn(part.text) };
  }
  if (part?.type !== "input_image" || typeof part.image_url !== "string") return value;
  const { image_url: url, detail } = part;
  return { type: "image_url", image_url: typeof detail === "string" ? { url, detail } : { url } };
}

/** Token ids when one message of the engine's has them; of several nobody says which the model made. */
function tokensOf(messages: unknown): Uint8Array | null {
  const [only, second] = listOf(structured(messages)).map((message) => objectOf(message) ?? {});
  return second === undefined && only?.type === "raw_message_tokens" ? idsIn(only.tokens) : null;
}

/** Of an output that is text alone; of any other they are not those of all tokens. */
function logprobsOf(output: readonly unknown[]): readonly number[] | null {
  const items = output.map((item) => objectOf(item) ?? {});
  if (items.some(({ type }) => type !== "message")) return null;
  const parts = items.flatMap(({ content }) => listOf(content).map((part) => objectOf(part) ?? {}));
  const found = parts.flatMap(({ logprobs }) => logprobsIn(logprobs));
  return found.length > 0 ? found : null;
}

/** In the words of chat completions where these have one; a status of another kind stays. */
function finishReasonOf(said: Json, completion: Message | undefined): ReadonlyMap<number, string> {
  const why = stringOf(objectOf(structured(said.incomplete_details))?.reason);
  const status = stringOf(said.status);
  const done = completion?.tool_calls === undefined ? "stop" : "tool_calls";
  const reason =
    why === "max_output_tokens" ? "length" : (why ?? (status === "completed" ? done : status));
  return new Map(reason === null || completion === undefined ? [] : [[0, reason]]);
}
