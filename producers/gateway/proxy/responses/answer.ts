import { countOf, type Json, listOf, objectOf, textOf, thoughtOf } from "../reading.ts";

/** The response that a chat completion's first choice is. */
export function responseOf(asked: Json, whole: Json): Json {
  const choice = objectOf(listOf(whole.choices)[0]) ?? {};
  const said = objectOf(choice.message) ?? {};
  const thought = thoughtOf(said);
  const text = textOf(said.content);
  const id = textOf(whole.id) ?? "";
  const output = [
    ...(thought === null ? [] : [reasoningItem(id, thought)]),
    ...(text === null ? [] : [messageItem(id, text)]),
    ...listOf(said.tool_calls).map(callItem),
  ];
  return { ...responseWith(asked, whole, output), ...endOf(choice.finish_reason, whole.usage) };
}

/** A response so far, with what was asked said again, as the API does. */
export function responseWith(
  asked: Json,
  { id, model, created }: Json,
  output: readonly Json[],
): Json {
  return {
    id,
    object: "response",
    created_at: created ?? 0,
    status: "in_progress",
    error: null,
    incomplete_details: null,
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    metadata: asked.metadata ?? {},
    model,
    output,
    parallel_tool_calls: asked.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: asked.reasoning ?? null,
    store: false,
    temperature: asked.temperature ?? null,
    text: asked.text ?? { format: { type: "text" } },
    tool_choice: asked.tool_choice ?? "auto",
    tools: asked.tools ?? [],
    top_p: asked.top_p ?? null,
    usage: null,
  };
}

const incomplete: ReadonlyMap<string, string> = new Map([
  ["length", "max_output_tokens"],
  ["content_filter", "content_filter"],
]);

/** How generation ended, and tokens in and out. */
export function endOf(finish_reason: unknown, usage: unknown): Json {
  const reason = incomplete.get(textOf(finish_reason) ?? "");
  return {
    status: reason === undefined ? "completed" : "incomplete",
    incomplete_details: reason === undefined ? null : { reason },
    usage: usageOf(objectOf(usage)),
  };
}

function usageOf(usage: Json | null): Json | null {
  if (usage === null) return null;
  const [input_tokens, output_tokens] = [usage.prompt_tokens, usage.completion_tokens].map(countOf);
  const cached_tokens = countOf(objectOf(usage.prompt_tokens_details)?.cached_tokens);
  const reasoning_tokens = countOf(objectOf(usage.completion_tokens_details)?.reasoning_tokens);
  return {
    input_tokens,
    input_tokens_details: { cached_tokens },
    output_tokens,
    output_tokens_details: { reasoning_tokens },
    total_tokens: (input_tokens ?? 0) + (output_tokens ?? 0),
  };
}

export function reasoningItem(id: string, text: string): Json {
  return {
    type: "reasoning",
    id: `rs_${id}`,
    summary: [],
    content: [{ type: "reasoning_text", text }],
    status: "completed",
  };
}

export function messageItem(id: string, text: string): Json {
  return {
    type: "message",
    id: `msg_${id}`,
    status: "completed",
    role: "assistant",
    content: [{ type: "output_text", text, annotations: [], logprobs: [] }],
  };
}

/** Of an item of `tool_calls`. */
export function callItem(value: unknown): Json {
  const { id, function: called } = objectOf(value) ?? {};
  const { name, arguments: given } = objectOf(called) ?? {};
  return {
    type: "function_call",
    id: `fc_${textOf(id) ?? ""}`,
    call_id: id,
    name,
    arguments: textOf(given) ?? "",
    status: "completed",
  };
}
