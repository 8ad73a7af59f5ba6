import { type Json, list, object } from "./openai-attributes.ts";

type ToolCall = { id: unknown; type: unknown; function: { name: unknown; arguments: string } };

type Choice = {
  content: string;
  role: unknown;
  finishReason: unknown;
  toolCalls: Map<number, ToolCall>;
  tokenIds: unknown[];
  logprobs: unknown[];
};

/** Puts the chunks of a streamed chat completion (server-sent events) together. */
export type CompletionReader = {
  push(bytes: Uint8Array): void;
  /** The completion so far, in the shape of one that was not streamed. */
  readonly result: () => Json;
};

export function createCompletionReader(): CompletionReader {
  const decoder = new TextDecoder();
  const choices = new Map<number, Choice>();
  const whole: Record<string, unknown> = {};
  let rest = "";

  function take(line: string): void {
    if (!line.startsWith("data:")) return;
    const data = line.slice("data:".length).trim();
    if (data === "" || data === "[DONE]") return;
    try {
      chunk(object(JSON.parse(data)));
    } catch (error) {
      // What is no JSON is the client's to complain about: it reads the same bytes.
      if (!(error instanceof SyntaxError)) throw error;
    }
  }

  function chunk(part: Json): void {
    for (const key of ["id", "model", "usage", "prompt_token_ids", "response_token_ids"]) {
      if (part[key] !== undefined && part[key] !== null) whole[key] = part[key];
    }
    for (const choice of list(part.choices).map(object)) {
      const index = Number(choice.index ?? 0);
      const into = choices.get(index) ?? newChoice();
      choices.set(index, into);
      add(into, choice);
    }
  }

  return {
    push(bytes) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) take(line);
    },
    result: () => {
      take(rest);
      rest = "";
      const ordered = [...choices].sort(([a], [b]) => a - b);
      return { ...whole, choices: ordered.map(([, choice]) => finished(choice)) };
    },
  };
}

function newChoice(): Choice {
  return {
    content: "",
    role: "assistant",
    finishReason: null,
    toolCalls: new Map(),
    tokenIds: [],
    logprobs: [],
  };
}

function add(into: Choice, choice: Json): void {
  const delta = object(choice.delta);
  if (typeof delta.content === "string") into.content += delta.content;
  into.role = delta.role ?? into.role;
  into.finishReason = choice.finish_reason ?? into.finishReason;
  into.tokenIds.push(...list(choice.token_ids));
  into.logprobs.push(...list(object(choice.logprobs).content));
  for (const part of list(delta.tool_calls).map(object)) {
    const index = Number(part.index ?? 0);
    const { name, arguments: more } = object(part.function);
    const call = into.toolCalls.get(index);
    if (call === undefined) {
      const called = { name, arguments: typeof more === "string" ? more : "" };
      into.toolCalls.set(index, { id: part.id, type: part.type ?? "function", function: called });
    } else if (typeof more === "string") call.function.arguments += more;
  }
}

function finished({ content, role, finishReason, toolCalls, tokenIds, logprobs }: Choice): Json {
  const calls = [...toolCalls].sort(([a], [b]) => a - b).map(([, call]) => call);
  return {
    message: { role, content: content === "" ? null : content, tool_calls: calls },
    finish_reason: finishReason,
    ...(tokenIds.length === 0 ? {} : { token_ids: tokenIds }),
    ...(logprobs.length === 0 ? {} : { logprobs: { content: logprobs } }),
  };
}
