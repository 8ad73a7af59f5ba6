import { invalid, type Json, listOf, objectOf, textOf } from "../reading.ts";

/** Fields that mean the same in a chat completion, by the names they have there. */
const sameFields: readonly (readonly [string, string])[] = [
  ["model", "model"],
  ["max_output_tokens", "max_tokens"],
  ["temperature", "temperature"],
  ["top_p", "top_p"],
  ["stream", "stream"],
  ["parallel_tool_calls", "parallel_tool_calls"],
  ["user", "user"],
];

/** What lies at OpenAI's and nowhere else. */
const storedFields = ["previous_response_id", "conversation", "prompt"];

/**
 * The chat completion a request for a response asks for.
 *
 * @throws LightningError `request-invalid` naming the field, what was read and what is allowed.
 */
export function chatRequest(asked: Json): Json {
  for (const name of storedFields) {
    const read = asked[name] ?? null;
    if (read !== null) throw invalid(name, read, "null: send all items of the conversation");
  }
  const body: Record<string, unknown> = {};
  for (const [theirs, name] of sameFields) {
    if (asked[theirs] !== undefined && asked[theirs] !== null) body[name] = asked[theirs];
  }
  const instructions = textOf(asked.instructions);
  body.messages = [
    ...(instructions === null ? [] : [{ role: "system", content: instructions }]),
    ...messagesOf(asked.input),
  ];
  const tools = listOf(asked.tools);
  if (tools.length > 0) body.tools = tools.map(toolOf);
  const effort = textOf(objectOf(asked.reasoning)?.effort);
  return {
    ...body,
    ...toolChoiceOf(asked.tool_choice ?? null),
    ...(effort !== null && { reasoning_effort: effort }),
    ...formatOf(objectOf(objectOf(asked.text)?.format)),
  };
}

/** An assistant's turn, which comes as an item for each thing it is made of. */
type Turn = {
  readonly role: "assistant";
  content: unknown;
  reasoning_content?: string;
  tool_calls?: Json[];
};

function messagesOf(input: unknown): object[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input)) throw invalid("input", input, "text or a list of items");
  const messages: object[] = [];
  let turn: Turn | null = null;
  const newTurn = (): Turn => {
    turn = { role: "assistant", content: null };
    messages.push(turn);
    return turn;
  };
  /** Thoughts and words come before calls and once a turn. */
  const silentTurn = (): Turn => (turn === null || hasSpoken(turn) ? newTurn() : turn);
  for (const [i, value] of input.entries()) {
    const item = objectOf(value) ?? {};
    const at = `input.${i}`;
    const { type = "message", role } = item;
    if (type === "reasoning") {
      const open = silentTurn();
      const thought = [open.reasoning_content ?? "", thoughtOf(item)].filter((text) => text !== "");
      if (thought.length > 0) open.reasoning_content = thought.join("\n");
    } else if (type === "function_call") {
      const { call_id: id, name, arguments: given } = item;
      const call = { id, type: "function", function: { name, arguments: given } };
      const open = turn ?? newTurn();
      open.tool_calls = [...(open.tool_calls ?? []), call];
    } else if (type === "message" && role === "assistant") {
      const open = silentTurn();
      open.content = contentOf(item.content, `${at}.content`);
    } else {
      turn = null;
      messages.push(messageOf(item, at));
    }
  }
  return messages;
}

function hasSpoken({ content, tool_calls }: Turn): boolean {
  return content !== null || tool_calls !== undefined;
}

/** What is no assistant's: a message, or what a tool answered. */
function messageOf(item: Json, at: string): object {
  const { type = "message", role } = item;
  if (type === "function_call_output") {
    const content = contentOf(item.output, `${at}.output`);
    return { role: "tool", tool_call_id: item.call_id, content };
  }
  if (type !== "message") throw invalid(`${at}.type`, type, itemTypes);
  const content = contentOf(item.content, `${at}.content`);
  // The name newer models of OpenAI's have for it; chat templates know the older one.
  if (role === "developer" || role === "system") return { role: "system", content };
  if (role === "user") return { role, content };
  throw invalid(`${at}.role`, role, "user, assistant, system, developer");
}

const itemTypes = "message, function_call, function_call_output, reasoning";

/** What was thought, else what was said of it. */
function thoughtOf({ content, summary }: Json): string {
  const thought = listOf(content).length > 0 ? listOf(content) : listOf(summary);
  return thought.map((part) => textOf(objectOf(part)?.text) ?? "").join("\n");
}

function contentOf(content: unknown, at: string): unknown {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalid(at, content, "text or a list of parts");
  const parts = content.map((part, k) => partOf(objectOf(part) ?? {}, `${at}.${k}`));
  const [only, second] = parts;
  // One text stands for itself: not every chat template takes lists.
  return second === undefined && only?.type === "text" ? only.text : parts;
}

function partOf(part: Json, at: string): Json {
  switch (part.type) {
    case "input_text":
    case "output_text":
    case "text":
      return { type: "text", text: part.text };
    case "refusal":
      return { type: "text", text: part.refusal };
    case "input_image": {
      const { image_url: url, detail } = part;
      if (typeof url !== "string") throw invalid(`${at}.image_url`, url, "an address");
      return { type: "image_url", image_url: { url, ...(detail !== undefined && { detail }) } };
    }
    default:
      throw invalid(`${at}.type`, part.type, "input_text, output_text, refusal, input_image");
  }
}

function toolOf(value: unknown, i: number): Json {
  const { type, name, description, parameters, strict } = objectOf(value) ?? {};
  if (type !== "function") throw invalid(`tools.${i}.type`, type, "function: others run at OpenAI");
  const called = { name, description, parameters };
  return { type, function: strict === true ? { ...called, strict } : called };
}

function toolChoiceOf(choice: unknown): Json {
  if (choice === null) return {};
  if (typeof choice === "string") return { tool_choice: choice };
  const { type, name } = objectOf(choice) ?? {};
  if (type === "function") return { tool_choice: { type, function: { name } } };
  throw invalid("tool_choice.type", type, "function, or auto, none or required as text");
}

function formatOf(format: Json | null): Json {
  if (format === null || format.type === "text") return {};
  if (format.type === "json_object") return { response_format: { type: "json_object" } };
  if (format.type !== "json_schema") {
    throw invalid("text.format.type", format.type, "text, json_object, json_schema");
  }
  const { name, description, schema, strict } = format;
  const json_schema = { name, description, schema, strict };
  return { response_format: { type: "json_schema", json_schema } };
}
