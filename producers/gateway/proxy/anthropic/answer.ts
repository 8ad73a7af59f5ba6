import {
  countOf,
  type Json,
  listOf,
  objectOf,
  parsedObject,
  textOf,
  thoughtOf,
} from "../reading.ts";

/** The message that a chat completion's first choice is. */
export function messageOf(whole: Json): Json {
  const choice = objectOf(listOf(whole.choices)[0]) ?? {};
  const said = objectOf(choice.message) ?? {};
  const thought = thoughtOf(said);
  const text = textOf(said.content);
  return {
    id: whole.id,
    type: "message",
    role: "assistant",
    model: whole.model,
    content: [
      ...(thought === null ? [] : [{ type: "thinking", thinking: thought, signature: "" }]),
      ...(text === null ? [] : [{ type: "text", text }]),
      ...listOf(said.tool_calls).map(toolUseOf),
    ],
    ...stopOf(choice),
    usage: usageOf(objectOf(whole.usage)),
  };
}

function toolUseOf(value: unknown): Json {
  const { id, function: called } = objectOf(value) ?? {};
  const { name, arguments: given } = objectOf(called) ?? {};
  // What is no JSON object stays readable in the call's span.
  return { type: "tool_use", id, name, input: parsedObject(textOf(given) ?? "{}") ?? {} };
}

const stopReasons: ReadonlyMap<string, string> = new Map([
  ["stop", "end_turn"],
  ["length", "max_tokens"],
  ["tool_calls", "tool_use"],
  ["content_filter", "refusal"],
]);

/** Why generation ended; vLLM says which stop sequence it met. */
export function stopOf({ finish_reason, stop_reason }: Json): Json {
  if (finish_reason === "stop" && typeof stop_reason === "string") {
    return { stop_reason: "stop_sequence", stop_sequence: stop_reason };
  }
  const reason = stopReasons.get(textOf(finish_reason) ?? "") ?? "end_turn";
  return { stop_reason: reason, stop_sequence: null };
}

/** Tokens in and out; of those in, the ones the engine had cached. */
export function usageOf(usage: Json | null): Json {
  const cached = objectOf(usage?.prompt_tokens_details)?.cached_tokens;
  return {
    input_tokens: countOf(usage?.prompt_tokens),
    output_tokens: countOf(usage?.completion_tokens),
    ...(typeof cached === "number" && { cache_read_input_tokens: cached }),
  };
}

/** The body of an error (https://docs.anthropic.com/en/api/errors). */
export function errorOf(status: number, message: string): Json {
  return { type: "error", error: { type: errorTypes[status] ?? errorTypeFor(status), message } };
}

const errorTypes: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

function errorTypeFor(status: number): string {
  return status < 500 ? "invalid_request_error" : "api_error";
}
