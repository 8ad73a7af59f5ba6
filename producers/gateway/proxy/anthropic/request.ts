import { invalid, type Json, listOf, objectOf, textOf } from "../reading.ts";

/** Fields that mean the same at OpenAI's, by the names they have there. */
const sameFields: readonly (readonly [string, string])[] = [
  ["model", "model"],
  ["max_tokens", "max_tokens"],
  ["temperature", "temperature"],
  ["top_p", "top_p"],
  ["top_k", "top_k"],
  ["stop_sequences", "stop"],
  ["stream", "stream"],
];

/**
 * The chat completion a request for a message asks for.
 *
 * @throws LightningError `request-invalid` naming the field, what was read and what is allowed.
 */
export function chatRequest(asked: Json): Json {
  if (!Array.isArray(asked.messages)) {
    throw invalid("messages", asked.messages, "a list of messages");
  }
  const body: Record<string, unknown> = {};
  for (const [theirs, name] of sameFields) {
    if (asked[theirs] !== undefined && asked[theirs] !== null) body[name] = asked[theirs];
  }
  body.messages = [...systemOf(asked.system), ...asked.messages.flatMap(chatMessages)];
  const tools = listOf(asked.tools);
  if (tools.length > 0) body.tools = tools.map(toolOf);
  return { ...body, ...toolChoiceOf(objectOf(asked.tool_choice)) };
}

function systemOf(system: unknown): Json[] {
  if (system === undefined || system === null) return [];
  if (typeof system === "string") return [{ role: "system", content: system }];
  const texts = listOf(system).map((block, i) => {
    const { text } = objectOf(block) ?? {};
    if (typeof text === "string") return text;
    throw invalid(`system.${i}.text`, text, "text");
  });
  return [{ role: "system", content: texts.join("\n") }];
}

function chatMessages(value: unknown, i: number): Json[] {
  const at = `messages.${i}`;
  const { role, content } = objectOf(value) ?? {};
  if (role !== "user" && role !== "assistant" && role !== "system") {
    throw invalid(`${at}.role`, role, "user or assistant");
  }
  if (typeof content === "string") return [{ role, content }];
  if (!Array.isArray(content)) throw invalid(`${at}.content`, content, "text or a list of blocks");
  const read = blocksOf(content, `${at}.content`);
  const calls = read.tool_calls.length > 0 && { tool_calls: read.tool_calls };
  const thought = read.thinking.length > 0 && { reasoning_content: read.thinking.join("\n") };
  const isSilent = read.parts.length === 0 && calls === false && thought === false;
  // What tools answered comes before what is said about it.
  return [
    ...read.answers,
    ...(isSilent ? [] : [{ role, content: contentOf(read.parts), ...thought, ...calls }]),
  ];
}

/** The content blocks of one message by what becomes of them. */
type Blocks = {
  readonly parts: Json[];
  readonly thinking: string[];
  readonly tool_calls: Json[];
  readonly answers: Json[];
};

function blocksOf(blocks: readonly unknown[], at: string): Blocks {
  const read: Blocks = { parts: [], thinking: [], tool_calls: [], answers: [] };
  for (const [k, value] of blocks.entries()) addBlock(read, objectOf(value) ?? {}, `${at}.${k}`);
  return read;
}

function addBlock(into: Blocks, block: Json, at: string): void {
  switch (block.type) {
    case "text":
    case "image":
      into.parts.push(partOf(block, at));
      break;
    case "thinking":
      into.thinking.push(textOf(block.thinking) ?? "");
      break;
    // Sealed by Anthropic, and to no other engine of use.
    case "redacted_thinking":
      break;
    case "tool_use": {
      const called = { name: block.name, arguments: JSON.stringify(block.input ?? {}) };
      into.tool_calls.push({ id: block.id, type: "function", function: called });
      break;
    }
    case "tool_result": {
      const content = resultOf(block.content, `${at}.content`);
      into.answers.push({ role: "tool", tool_call_id: block.tool_use_id, content });
      break;
    }
    default:
      throw invalid(`${at}.type`, block.type, blockTypes);
  }
}

const blockTypes = "text, image, tool_use, tool_result, thinking, redacted_thinking";

/** What a tool answered: text, or a list of blocks of text and images. */
function resultOf(content: unknown, at: string): unknown {
  if (!Array.isArray(content)) return content ?? "";
  return contentOf(content.map((block, k) => partOf(objectOf(block) ?? {}, `${at}.${k}`))) ?? "";
}

/** One text stands for itself: not every chat template takes lists. */
function contentOf(parts: readonly Json[]): unknown {
  const [only, second] = parts;
  if (only === undefined) return null;
  return second === undefined && only.type === "text" ? only.text : parts;
}

function partOf(block: Json, at: string): Json {
  if (block.type === "text") return { type: "text", text: block.text };
  if (block.type !== "image") throw invalid(`${at}.type`, block.type, "text, image");
  const source = objectOf(block.source) ?? {};
  if (source.type === "url") return { type: "image_url", image_url: { url: source.url } };
  if (source.type !== "base64") throw invalid(`${at}.source.type`, source.type, "base64, url");
  const url = `data:${textOf(source.media_type) ?? ""};base64,${textOf(source.data) ?? ""}`;
  return { type: "image_url", image_url: { url } };
}

function toolOf(value: unknown, i: number): Json {
  const { type = "custom", name, description, input_schema } = objectOf(value) ?? {};
  if (type !== "custom") throw invalid(`tools.${i}.type`, type, "custom: others run at Anthropic");
  return { type: "function", function: { name, description, parameters: input_schema } };
}

const toolChoices: ReadonlyMap<string, string> = new Map([
  ["auto", "auto"],
  ["any", "required"],
  ["none", "none"],
]);

function toolChoiceOf(choice: Json | null): Json {
  if (choice === null) return {};
  const { type, name, disable_parallel_tool_use } = choice;
  const tool_choice =
    type === "tool"
      ? { type: "function", function: { name } }
      : toolChoices.get(textOf(type) ?? "");
  if (tool_choice === undefined) throw invalid("tool_choice.type", type, "auto, any, tool, none");
  return { tool_choice, ...(disable_parallel_tool_use === true && { parallel_tool_calls: false }) };
}
