import { objectOf, stringOf } from "./attributes.ts";
import { type ToolCall, toolCall } from "./tools.ts";

type Part = Readonly<Record<string, unknown>>;

/** What a content part of any dialect is in an OpenAI message. */
type Piece =
  | { readonly text: string }
  | { readonly part: unknown }
  | { readonly reasoning: string }
  | { readonly call: ToolCall }
  | { readonly answer: ToolAnswer };

/** Answer to a tool call: a message of its own. */
export type ToolAnswer = {
  readonly role: "tool";
  readonly content: unknown;
  readonly tool_call_id: string;
};

/** The parts of one message, sorted by what becomes of them. */
export type PartsRead = {
  /** Text, or OpenAI content parts when there is more than text; null when there is nothing. */
  readonly content: unknown;
  readonly reasoning: string;
  readonly calls: readonly ToolCall[];
  readonly answers: readonly ToolAnswer[];
};

/**
 * Content parts by their `type`: those of OpenTelemetry GenAI
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), of the Vercel AI SDK
 * (https://ai-sdk.dev/docs/reference/ai-sdk-core/model-message) and of Anthropic
 * (https://docs.anthropic.com/en/api/messages). OpenAI's own and unknown ones stay as they are.
 */
const partKinds: Readonly<Record<string, (part: Part) => Piece>> = {
  text: (part) => ({ text: textIn(part.text ?? part.content) }),
  reasoning: (part) => ({ reasoning: textIn(part.text ?? part.content) }),
  thinking: (part) => ({ reasoning: textIn(part.thinking) }),
  tool_call: (part) => called(part.id, part.name, part.arguments),
  "tool-call": (part) => called(part.toolCallId, part.toolName, part.input ?? part.args),
  tool_use: (part) => called(part.id, part.name, part.input),
  tool_call_response: (part) => answered(part.id, part.response ?? part.result ?? part.content),
  "tool-result": (part) => answered(part.toolCallId, outputIn(part.output ?? part.result)),
  tool_result: (part) => answered(part.tool_use_id, joinedText(part.content)),
  uri: (part) => pictured(part, stringOf(part.uri), part.modality),
  blob: (part) => pictured(part, dataUrl(part.mime_type, part.content), part.modality),
  image: (part) => pictured(part, imageOf(part), "image"),
  file: (part) => {
    const type = stringOf(part.mediaType ?? part.mimeType) ?? "";
    return pictured(part, urlOf(type, part.data), type.split("/")[0]);
  },
};

/** True for a part that OpenAI would write in another way. */
export function isForeignPart(value: unknown): boolean {
  const part = objectOf(value);
  const kind = stringOf(part?.type) ?? "";
  return part !== null && kind !== "text" && Object.hasOwn(partKinds, kind);
}

/** Parts of any dialect as OpenAI has them. */
export function readParts(parts: readonly unknown[]): PartsRead {
  const pieces = parts.map(pieceOf);
  const reasoning = pieces.flatMap((piece) => ("reasoning" in piece ? [piece.reasoning] : []));
  return {
    content: contentOf(pieces.filter((piece) => "text" in piece || "part" in piece)),
    reasoning: reasoning.join("\n"),
    calls: pieces.flatMap((piece) => ("call" in piece ? [piece.call] : [])),
    answers: pieces.flatMap((piece) => ("answer" in piece ? [piece.answer] : [])),
  };
}

/** Text as it is, nothing as "", everything else as JSON. */
export function textIn(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}

function pieceOf(value: unknown): Piece {
  const part = objectOf(value);
  if (part === null) return typeof value === "string" ? { text: value } : { part: value };
  const kind = stringOf(part.type) ?? "";
  const read = Object.hasOwn(partKinds, kind) ? partKinds[kind] : undefined;
  return read === undefined ? { part } : read(part);
}

function contentOf(pieces: readonly ({ text: string } | { part: unknown })[]): unknown {
  if (pieces.length === 0) return null;
  const texts = pieces.flatMap((piece) => ("text" in piece ? [piece.text] : []));
  if (texts.length === pieces.length) return texts.join("");
  return pieces.map((piece) => ("text" in piece ? { type: "text", text: piece.text } : piece.part));
}

function called(id: unknown, name: unknown, given: unknown): Piece {
  return { call: toolCall(textIn(id), textIn(name), textIn(given ?? "{}")) };
}

function answered(id: unknown, content: unknown): Piece {
  return { answer: { role: "tool", content: textIn(content), tool_call_id: textIn(id) } };
}

/** An image becomes OpenAI's `image_url`; what is no image, or has no address, stays as it is. */
function pictured(part: Part, url: string | null, modality: unknown): Piece {
  if (url === null || modality !== "image") return { part };
  return { part: { type: "image_url", image_url: { url } } };
}

/** Vercel's `{image, mediaType}` and Anthropic's `{source: {type, media_type, data, url}}`. */
function imageOf(part: Part): string | null {
  const source = objectOf(part.source);
  if (source === null) return urlOf(part.mediaType ?? part.mimeType ?? "image/png", part.image);
  return stringOf(source.url) ?? dataUrl(source.media_type, source.data);
}

/** An address as it is; base64 gets the type in front. */
function urlOf(type: unknown, data: unknown): string | null {
  const text = stringOf(data);
  return text !== null && /^(?:https?|data|file):/.test(text) ? text : dataUrl(type, text);
}

function dataUrl(type: unknown, data: unknown): string | null {
  return typeof data === "string" ? `data:${textIn(type)};base64,${data}` : null;
}

/** Vercel wraps what a tool returned: `{type: "text" | "json" | …, value}`. */
function outputIn(output: unknown): unknown {
  const wrapped = objectOf(output);
  return wrapped !== null && "type" in wrapped && "value" in wrapped ? wrapped.value : output;
}

/** Anthropic's tool results are text, or a list of text parts. */
function joinedText(content: unknown): unknown {
  return Array.isArray(content) ? readParts(content).content : content;
}
