import { type Json, listOf, objectOf, textOf } from "./reading.ts";

type Choice = {
  finish_reason: unknown;
  /** The stop string or token that ended it, as vLLM says. */
  stop_reason: unknown;
  readonly message: Record<string, unknown>;
  readonly tools: Map<number, Record<string, unknown>>;
  text: string;
  readonly tokenIds: unknown[];
  readonly content: unknown[];
  readonly tokenLogprobs: unknown[];
};

/** Puts the chunks of a stream together again. */
export type Capture = {
  add(chunk: Json): void;
  /** What the engine would have answered without streaming. */
  response(): Json;
};

/** Fields that say something once for the whole answer. */
const wholeFields = ["id", "model", "system_fingerprint", "usage", "prompt_token_ids", "error"];

export function createCapture(): Capture {
  const whole: Record<string, unknown> = {};
  const choices = new Map<number, Choice>();
  return {
    add(chunk) {
      for (const name of wholeFields) {
        const value = chunk[name];
        if (value !== undefined && value !== null) whole[name] = value;
      }
      for (const item of listOf(chunk.choices)) {
        const said = objectOf(item);
        if (said === null) continue;
        const index = typeof said.index === "number" ? said.index : 0;
        const choice = choices.get(index) ?? newChoice();
        choices.set(index, choice);
        addChoice(choice, said);
        if (Array.isArray(said.prompt_token_ids)) whole.prompt_token_ids = said.prompt_token_ids;
      }
    },
    response: () => ({
      ...whole,
      choices: [...choices].sort(([a], [b]) => a - b).map(([index, one]) => finished(index, one)),
    }),
  };
}

function newChoice(): Choice {
  return {
    finish_reason: null,
    stop_reason: null,
    message: { role: "assistant", content: null },
    tools: new Map(),
    text: "",
    tokenIds: [],
    content: [],
    tokenLogprobs: [],
  };
}

function addChoice(choice: Choice, said: Json): void {
  if (textOf(said.finish_reason) !== null) choice.finish_reason = said.finish_reason;
  choice.stop_reason = said.stop_reason ?? choice.stop_reason;
  if (typeof said.text === "string") choice.text += said.text;
  append(choice.tokenIds, said.token_ids);
  const logprobs = objectOf(said.logprobs);
  append(choice.content, logprobs?.content);
  append(choice.tokenLogprobs, logprobs?.token_logprobs);
  for (const [name, value] of Object.entries(objectOf(said.delta) ?? {})) {
    if (name === "tool_calls") addTools(choice.tools, value);
    else if (name === "role" || typeof value !== "string") {
      if (value !== null) choice.message[name] = value;
    } else choice.message[name] = (textOf(choice.message[name]) ?? "") + value;
  }
}

/** One by one: a list of a million items is more than a call takes arguments. */
function append(list: unknown[], more: unknown): void {
  for (const item of listOf(more)) list.push(item);
}

function addTools(tools: Map<number, Record<string, unknown>>, deltas: unknown): void {
  for (const item of listOf(deltas)) {
    const delta = objectOf(item);
    if (delta === null) continue;
    const index = typeof delta.index === "number" ? delta.index : tools.size;
    const tool = tools.get(index) ?? { id: "", type: "function" };
    tools.set(index, tool);
    tool.id = textOf(delta.id) ?? tool.id;
    const before = objectOf(tool.function) ?? {};
    const now = objectOf(delta.function) ?? {};
    tool.function = {
      name: (textOf(before.name) ?? "") + (textOf(now.name) ?? ""),
      arguments: (textOf(before.arguments) ?? "") + (textOf(now.arguments) ?? ""),
    };
  }
}

function finished(index: number, choice: Choice): Json {
  const tools = [...choice.tools].sort(([a], [b]) => a - b).map(([, tool]) => tool);
  const logprobs = {
    ...(choice.content.length > 0 && { content: choice.content }),
    ...(choice.tokenLogprobs.length > 0 && { token_logprobs: choice.tokenLogprobs }),
  };
  return {
    index,
    finish_reason: choice.finish_reason,
    ...(choice.stop_reason !== null && { stop_reason: choice.stop_reason }),
    message: { ...choice.message, ...(tools.length > 0 && { tool_calls: tools }) },
    ...(choice.text !== "" && { text: choice.text }),
    ...(choice.tokenIds.length > 0 && { token_ids: choice.tokenIds }),
    ...(Object.keys(logprobs).length > 0 && { logprobs }),
  };
}
