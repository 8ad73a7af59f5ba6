import {
  type Attributed,
  idsIn,
  isCount,
  listOf,
  objectOf,
  stringOf,
  structured,
  textOf,
} from "./attributes.ts";
import { type CallParts, finite, logprobsIn, noParts } from "./call-parts.ts";
import { type Message, objectMessage } from "./messages.ts";
import { readParts, textIn } from "./parts.ts";
import { answerInEvents, isResponses, readResponses } from "./responses.ts";
import { asTool } from "./tools.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * A call whose request and response bodies were recorded: OpenAI's chat and text completions
 * (https://platform.openai.com/docs/api-reference/chat) with the token ids vLLM and SGLang add, its
 * Responses API (responses.ts), or Anthropic's messages. Fields may be texts of JSON or of Python
 * literals. Of the places engines put token ids, the first in the reference's order counts
 * (reference/v0.3-behaviour.md, 2.4 and 3.8).
 */
export function readBodies(request: unknown, response: unknown): CallParts {
  const asked = objectOf(structured(request)) ?? {};
  const said = objectOf(joinedChunks(structured(response))) ?? {};
  const usage = objectOf(structured(said.usage)) ?? {};
  const choices = choicesOf(said);
  const parts = {
    ...noParts,
    responseId: stringOf(said.id),
    model: stringOf(said.model) ?? stringOf(asked.model),
    messages: conversationOf(asked),
    tools: listOf(structured(asked.tools)).flatMap(asTool),
    promptIds:
      idsIn(said.prompt_token_ids) ??
      idsIn(choices[0]?.prompt_token_ids) ??
      idsIn(listIn(asked.prompt)),
    completions: perChoice(choices, messageOf),
    responseIds: responseIdsOf(said, choices),
    logprobs: perChoice(choices, logprobsOf),
    finishReasons: perChoice(choices, (choice) => stringOf(choice.finish_reason)),
    promptTokens: countIn(usage.prompt_tokens ?? usage.input_tokens),
    completionTokens: countIn(usage.completion_tokens ?? usage.output_tokens),
    temperature: finite(asked.temperature),
    topP: finite(asked.top_p),
    error: errorOf(said.error),
  };
  return isResponses(asked, said) ? { ...parts, ...readResponses(asked, said) } : parts;
}

/**
 * What the 1.0 gateway says about a call beside the two bodies (reference/v1.0.md, 1.6): a status of
 * 400 or more is a failure even when the engine sent tokens with it.
 */
export function readEventOutcome(of: Attributed): CallParts {
  const status = of.attributes.longs.http_status ?? 0;
  const failed = textOf(of, ["status"]) === "error" || status >= 400;
  return { ...noParts, error: failed ? `the engine answered with HTTP status ${status}` : null };
}

/** The messages of the request, its system prompt first; a text completion has one. */
function conversationOf(request: Json): readonly Message[] {
  const messages = listOf(structured(request.messages)).flatMap(objectMessage);
  if (typeof request.prompt === "string" && messages.length === 0) {
    return [{ role: "user", content: request.prompt }];
  }
  const { system } = request;
  if (system === undefined || system === null || messages.length === 0) return messages;
  const parts = listOf(structured(system));
  const content = parts.length > 0 ? readParts(parts).content : textIn(system);
  return [{ role: "system", content }, ...messages];
}

/** OpenAI's choices, or the one that Anthropic's answer is. */
function choicesOf(response: Json): readonly Json[] {
  const choices = listOf(structured(response.choices)).map((choice) => objectOf(choice) ?? {});
  const parts = structured(response.content);
  if (choices.length > 0 || !Array.isArray(parts)) return choices;
  const message = { role: response.role ?? "assistant", content: parts };
  return [{ message, finish_reason: response.stop_reason }];
}

/** A choice without a message or text is one of token ids alone. */
function messageOf(choice: Json): Message | null {
  const message = objectOf(choice.message);
  if (message !== null)
    return objectMessage({ ...message, role: message.role ?? "assistant" })[0] ?? null;
  return typeof choice.text === "string" ? { role: "assistant", content: choice.text } : null;
}

function responseIdsOf(response: Json, choices: readonly Json[]): ReadonlyMap<number, Uint8Array> {
  const lists = listOf(structured(response.response_token_ids));
  const flat = idsIn(lists);
  if (flat !== null) return new Map([[0, flat]]);
  const count = Math.max(lists.length, choices.length);
  const found = Array.from({ length: count }, (_, i): [number, Uint8Array | null] => {
    const choice = choices[i] ?? {};
    const own = choice.token_ids ?? objectOf(choice.provider_specific_fields)?.token_ids;
    return [i, idsIn(lists[i]) ?? idsIn(own)];
  });
  return new Map(found.filter((entry): entry is [number, Uint8Array] => entry[1] !== null));
}

function logprobsOf(choice: Json): readonly number[] | null {
  const logprobs = objectOf(choice.logprobs);
  const list = logprobsIn(logprobs?.content ?? logprobs?.token_logprobs);
  return list.length > 0 ? list : null;
}

/**
 * Old gateways of 1.0 kept the chunks of a stream: token ids and texts of choice 0 are put together.
 * The events of a Responses stream end with the whole answer.
 */
function joinedChunks(response: unknown): unknown {
  if (!Array.isArray(response)) return response;
  const chunks = response.map((chunk) => objectOf(chunk) ?? {});
  const whole = answerInEvents(chunks);
  if (whole !== null) return whole;
  const choices = chunks.map((chunk) => objectOf(listOf(chunk.choices)[0]) ?? {});
  const content = choices.map((choice) => stringOf(objectOf(choice.delta)?.content) ?? "").join("");
  const finish_reason = choices.findLast((choice) => choice.finish_reason)?.finish_reason;
  const token_ids = choices.flatMap((choice) => listOf(choice.token_ids));
  const message = { role: "assistant", content: content === "" ? null : content };
  return { ...chunks[0], choices: [{ message, token_ids, finish_reason }] };
}

function perChoice<T>(
  choices: readonly Json[],
  read: (choice: Json) => T | null,
): ReadonlyMap<number, T> {
  return new Map(
    choices.flatMap((choice, i): [number, T][] => {
      const value = read(choice);
      return value === null ? [] : [[i, value]];
    }),
  );
}

/** The prompt of a text completion may be its token ids; a text that looks like a list is a text. */
function listIn(prompt: unknown): readonly unknown[] | null {
  return Array.isArray(prompt) ? prompt : null;
}

function countIn(value: unknown): number | null {
  return isCount(value) ? value : null;
}

function errorOf(error: unknown): string | null {
  if (error === undefined || error === null) return null;
  return stringOf(objectOf(error)?.message) ?? textIn(error);
}
