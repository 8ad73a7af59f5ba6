import type { Attributes } from "@opentelemetry/api";
import { flatten, sanitise } from "./flatten.ts";

export type Json = Readonly<Record<string, unknown>>;

/** The value if it is an object, else an empty one. */
export function object(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

/** The value if it is a list, else an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Attributes of a chat completion request (body of `POST /chat/completions`). */
export function recordedRequest(body: Json): Attributes {
  const { model, temperature, top_p, max_tokens, max_completion_tokens, stream } = body;
  const request = {
    type: "chat",
    model,
    temperature,
    top_p,
    max_tokens: max_tokens ?? max_completion_tokens,
    streaming: stream === true,
    functions: list(body.tools).map((tool) => {
      const { name, description, parameters } = object(object(tool).function);
      return { name, description, parameters: text(parameters) };
    }),
  };
  return known({
    "gen_ai.system": "OpenAI",
    "gen_ai.request": request,
    "gen_ai.prompt": list(body.messages).map(message),
  });
}

/** Attributes of a chat completion: messages, usage, and what the engine says about tokens. */
export function recordedResponse(completion: Json): Attributes {
  const { prompt_tokens, completion_tokens, total_tokens } = object(completion.usage);
  const [first] = list(completion.choices).map(object);
  const logprobs = object(first?.logprobs);
  return known({
    "gen_ai.response": { id: completion.id, model: completion.model },
    "gen_ai.usage": { prompt_tokens, completion_tokens, total_tokens },
    "gen_ai.completion": list(completion.choices).map((choice) => ({
      ...message(object(choice).message),
      finish_reason: object(choice).finish_reason,
    })),
    prompt_token_ids: ids(completion.prompt_token_ids),
    response_token_ids:
      ids(list(completion.response_token_ids)[0]) ??
      ids(first?.token_ids) ??
      ids(object(first?.provider_specific_fields).token_ids),
    "logprobs.content": logprobs.content == null ? undefined : text(logprobs.content),
    "logprobs.refusal": logprobs.refusal == null ? undefined : text(logprobs.refusal),
  });
}

/** A message's fields as the reference names them; content that is no text becomes JSON text. */
function message(value: unknown): Json {
  const { role, content, tool_call_id, tool_calls } = object(value);
  const calls = list(tool_calls).map((call) => {
    const { id, function: called } = object(call);
    const { name, arguments: parameters } = object(called);
    return { id, name, arguments: parameters };
  });
  return {
    role,
    content: content === null || content === undefined ? undefined : text(content),
    tool_call_id,
    tool_calls: calls,
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A list of token ids, which stays one attribute. */
function ids(value: unknown): readonly number[] | undefined {
  const numbers = list(value).filter((id) => typeof id === "number");
  return numbers.length > 0 && numbers.length === list(value).length ? numbers : undefined;
}

/** Flattened without what is absent: null says nothing here. */
function known(value: Json): Attributes {
  const present = Object.entries(flatten(value)).filter(([, leaf]) => leaf !== null);
  return sanitise(Object.fromEntries(present));
}
