import { packFloat64, packInt32 } from "../../../schemas/bytes.ts";
import type { Attributes } from "../../../schemas/types.ts";
import { jsonText, noAttributes, putAttribute, putKind } from "../../attributes.ts";
import { type Json, listOf, objectOf, textOf } from "./reading.ts";

/** What happened to a call, ready to be told. */
export type Outcome = {
  /** The body the engine was sent. */
  readonly request: Json;
  /** What it answered, put together from its chunks when it streamed; null when it did not. */
  readonly response: Json | null;
  /** Address without user, password and query, where keys may stand. */
  readonly endpoint: string;
  readonly resource: string;
  readonly isChat: boolean;
  readonly status: number | null;
  readonly retries: number;
  readonly latencyMs: number;
  readonly policyVersion: number;
};

/** Request fields and the names OpenTelemetry gives them. */
const requestNames: readonly (readonly [string, string])[] = [
  ["temperature", "gen_ai.request.temperature"],
  ["top_p", "gen_ai.request.top_p"],
  ["top_k", "gen_ai.request.top_k"],
  ["max_tokens", "gen_ai.request.max_tokens"],
  ["max_completion_tokens", "gen_ai.request.max_tokens"],
  ["seed", "gen_ai.request.seed"],
  ["n", "gen_ai.request.choice.count"],
  ["frequency_penalty", "gen_ai.request.frequency_penalty"],
  ["presence_penalty", "gen_ai.request.presence_penalty"],
  ["stream", "gen_ai.request.stream"],
];

/**
 * Attributes of an LLM call. Messages are JSON (`gen_ai.input.messages`, `gen_ai.output.messages`,
 * OpenAI messages, one per choice); token ids and log-probs of choice 0 have the reference's names,
 * those of choice N end in `.N`.
 */
export function callAttributes(outcome: Outcome): Attributes {
  const { request, response, isChat } = outcome;
  const attributes = noAttributes();
  const put = (name: string, value: unknown): void => putAttribute(attributes, name, value);
  put("gen_ai.system", "openai");
  put("gen_ai.operation.name", isChat ? "chat" : "text_completion");
  put("gen_ai.request.type", isChat ? "chat" : "completion");
  put("gen_ai.request.model", request.model);
  for (const [field, name] of requestNames) {
    const value = request[field];
    if (typeof value === "number" || typeof value === "boolean") put(name, value);
  }
  const input = isChat ? request.messages : promptMessages(request.prompt);
  if (input !== undefined) putKind(attributes, "json", "gen_ai.input.messages", jsonText(input));
  if (Array.isArray(request.tools)) {
    putKind(attributes, "json", "gen_ai.tool.definitions", jsonText(request.tools));
  }
  put("lightning.resource", outcome.resource);
  put("lightning.latency_ms", outcome.latencyMs);
  put("lightning.retries", outcome.retries);
  put("lightning.policy.version", outcome.policyVersion);
  put("server.address", outcome.endpoint);
  if (outcome.status !== null) put("http.response.status_code", outcome.status);
  if (response !== null) putResponse(attributes, response);
  return attributes;
}

function promptMessages(prompt: unknown): Json[] | undefined {
  return typeof prompt === "string" ? [{ role: "user", content: prompt }] : undefined;
}

function putResponse(attributes: Attributes, response: Json): void {
  const put = (name: string, value: unknown): void => putAttribute(attributes, name, value);
  put("gen_ai.response.id", textOf(response.id) ?? undefined);
  put("gen_ai.response.model", textOf(response.model) ?? undefined);
  put("gen_ai.response.system_fingerprint", textOf(response.system_fingerprint) ?? undefined);
  putUsage(attributes, objectOf(response.usage) ?? {});
  const choices = listOf(response.choices)
    .map(objectOf)
    .filter((choice) => choice !== null);
  if (choices.length === 0) return;
  const reasons = choices.map((choice) => textOf(choice.finish_reason));
  putKind(attributes, "json", "gen_ai.response.finish_reasons", jsonText(reasons));
  putKind(attributes, "json", "gen_ai.output.messages", jsonText(choices.map(messageOf)));
  putIds(attributes, "prompt_token_ids", response.prompt_token_ids ?? choices[0]?.prompt_token_ids);
  for (const [i, choice] of choices.entries()) {
    const suffix = i === 0 ? "" : `.${i}`;
    putIds(attributes, `response_token_ids${suffix}`, tokenIdsOf(response, choice, i));
    putLogprobs(attributes, `logprobs${suffix}`, objectOf(choice.logprobs));
  }
}

function putUsage(attributes: Attributes, usage: Json): void {
  const names = [
    ["prompt_tokens", "gen_ai.usage.input_tokens"],
    ["completion_tokens", "gen_ai.usage.output_tokens"],
    ["total_tokens", "gen_ai.usage.total_tokens"],
  ] as const;
  for (const [field, name] of names) {
    if (typeof usage[field] === "number") putAttribute(attributes, name, usage[field]);
  }
}

function messageOf(choice: Json): Json {
  return objectOf(choice.message) ?? { role: "assistant", content: choice.text ?? null };
}

/** Engines differ in where they put them; the order is the reference's. */
function tokenIdsOf(response: Json, choice: Json, index: number): unknown {
  return (
    listOf(response.response_token_ids)[index] ??
    choice.token_ids ??
    objectOf(choice.provider_specific_fields)?.token_ids
  );
}

function putIds(attributes: Attributes, name: string, ids: unknown): void {
  const list = listOf(ids);
  if (list.length === 0) return;
  if (!list.every((id) => typeof id === "number" && (id | 0) === id)) return;
  putKind(attributes, "int_lists", name, packInt32(list as number[]));
}

function putLogprobs(attributes: Attributes, name: string, logprobs: Json | null): void {
  const values =
    logprobs === null || Array.isArray(logprobs.token_logprobs)
      ? listOf(logprobs?.token_logprobs)
      : listOf(logprobs.content).map((item) => objectOf(item)?.logprob);
  if (values.length === 0 || !values.every((value) => typeof value === "number")) return;
  putKind(attributes, "double_lists", name, packFloat64(values as number[]));
}

/**
 * Version of the policy that answered: what the engine says in `x-policy-version` or in a
 * fingerprint `policy-vN`, else the version of the resource set that named the engine.
 */
export function policyVersionOf(
  headers: Headers | null,
  response: Json | null,
  setVersion: number,
): number {
  const header = headers?.get("x-policy-version") ?? "";
  if (/^\d{1,15}$/.test(header)) return Number(header);
  const fingerprint = /^policy-v(\d{1,15})$/.exec(textOf(response?.system_fingerprint) ?? "");
  return fingerprint === null ? setVersion : Number(fingerprint[1]);
}

/** An address as it may be recorded. */
export function publicAddress(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
