import { objectOf } from "../traces/attributes.ts";

/** An event as the 1.0 gateway keeps it, as far as it matters here. */
export type GatewayEvent = {
  readonly event_type: string;
  readonly data: Readonly<Record<string, unknown>>;
};

/**
 * Which model requests count once. `prompt`: of those with one list of prompt ids the last, as the
 * reference does, so that of several samples of one prompt one is left, and of all calls without ids
 * one (it keeps all of these from 1.0.2 on). `call`: of those with one response id the last, so that
 * every sample stays; a request whose response names no id is a call of its own.
 */
export type EventDedup = "prompt" | "call";

/** A triplet as the reference's 1.0 trainer makes it. */
export type EventTriplet = {
  readonly prompt: { readonly token_ids: unknown };
  readonly response: { readonly token_ids: unknown; readonly log_probs: unknown };
  readonly reward: number | null;
  readonly metadata: { readonly server: unknown };
};

type Fields = Readonly<Record<string, unknown>>;

/**
 * The view `format=triplet` of a 1.0 gateway's events (reference/v1.0.md, 1.5): requests reduced to
 * token ids, log-probs and server, rewards to their value, duplicates gone, all else as it is. Never
 * throws; linear in tokens.
 */
export function tripletView<E extends GatewayEvent>(
  events: readonly E[],
  dedup: EventDedup = "prompt",
): readonly E[] {
  const lastOf = new Map<string, number>();
  const keys = events.map(({ event_type, data }, i) =>
    event_type === "model_request" ? identity(data, dedup, i) : null,
  );
  for (const [i, key] of keys.entries()) if (key !== null) lastOf.set(key, i);
  return events
    .filter((_, i) => keys[i] === null || lastOf.get(keys[i] ?? "") === i)
    .map((event) => ({ ...event, data: trimmed(event) }));
}

/**
 * What the 1.0 trainer makes of a view (reference/v1.0.md, 3.2): a triplet per request that was
 * answered with tokens, the last of them with the value of the last reward event.
 */
export function eventTriplets(view: readonly GatewayEvent[]): readonly EventTriplet[] {
  const requests = view.flatMap(({ event_type, data }) =>
    event_type === "model_request" && whyNoTurn(data) === null ? [data] : [],
  );
  const reward = lastReward(view);
  return requests.map((data, i) => ({
    prompt: { token_ids: data.prompt_token_ids },
    response: { token_ids: data.response_token_ids, log_probs: data.response_log_probs },
    reward: i === requests.length - 1 ? reward : null,
    metadata: { server: data.server },
  }));
}

/** Why a request of a view is no turn; null when it is one. */
export function whyNoTurn(data: Fields): "failed" | "empty-response" | null {
  const { status, http_status, response_token_ids } = data;
  if (status === "error" || (typeof http_status === "number" && http_status >= 400)) {
    return "failed";
  }
  return Array.isArray(response_token_ids) && response_token_ids.length > 0
    ? null
    : "empty-response";
}

/** The last reward event's value; null when there is none or it is no number. */
export function lastReward(view: readonly GatewayEvent[]): number | null {
  const value = view.findLast(({ event_type }) => event_type === "reward")?.data.value;
  return typeof value === "number" ? value : null;
}

function identity(data: Fields, dedup: EventDedup, index: number): string {
  const response = fieldsOf(data.response);
  if (dedup === "prompt") {
    const { prompt_token_ids } = tokensOf(data.response);
    return JSON.stringify(Array.isArray(prompt_token_ids) ? prompt_token_ids : []);
  }
  const { id } = response;
  return typeof id === "string" && id !== "" ? `response ${id}` : `event ${index}`;
}

function trimmed({ event_type, data }: GatewayEvent): Fields {
  if (event_type === "reward") {
    return { value: data.value ?? null, ...only(data, ["source", "reason"]) };
  }
  if (event_type !== "model_request") return data;
  const { model = null, version = null } = fieldsOf(data.server);
  return {
    ...tokensOf(data.response),
    server: { model, version },
    ...only(data, ["http_status", "status"]),
    ...only(fieldsOf(data.response), ["error"]),
  };
}

type Tokens = {
  readonly prompt_token_ids: unknown;
  readonly response_token_ids: unknown;
  readonly response_log_probs: readonly number[] | null;
};

/** An answer is an object; an old stream is a list of its chunks. */
function tokensOf(response: unknown): Tokens {
  if (Array.isArray(response)) return tokensOfChunks(response);
  const { prompt_token_ids = [], choices } = fieldsOf(response);
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  if (first === undefined) {
    return { prompt_token_ids, response_token_ids: [], response_log_probs: null };
  }
  const choice = fieldsOf(first);
  const { token_ids = [] } = choice;
  const { prompt_token_ids: ofChoice = [] } = choice;
  return {
    prompt_token_ids: isSomething(prompt_token_ids) ? prompt_token_ids : ofChoice,
    response_token_ids: token_ids,
    response_log_probs: logprobsOf(choice),
  };
}

function tokensOfChunks(chunks: readonly unknown[]): Tokens {
  const all = chunks.map(fieldsOf);
  const prompt = all.find((chunk) => isSomething(chunk.prompt_token_ids))?.prompt_token_ids;
  const parts = all.map(({ choices }) => fieldsOf(Array.isArray(choices) ? choices[0] : undefined));
  return {
    prompt_token_ids: prompt ?? [],
    response_token_ids: parts.flatMap(({ token_ids }) =>
      Array.isArray(token_ids) ? token_ids : [],
    ),
    response_log_probs: null,
  };
}

/** Each a finite number, or none at all; how many there are is not compared with the tokens. */
function logprobsOf(choice: Fields): readonly number[] | null {
  const { content, token_logprobs } = fieldsOf(choice.logprobs);
  const raw = Array.isArray(content)
    ? content.map((item) => fieldsOf(item).logprob)
    : Array.isArray(token_logprobs)
      ? token_logprobs
      : null;
  const numbers = raw?.map(numberOf) ?? null;
  return numbers?.every((value) => value !== null) === true ? (numbers as number[]) : null;
}

/** What Python's float() makes a finite number of. */
function numberOf(value: unknown): number | null {
  if (typeof value === "boolean") return Number(value);
  const isNumeric =
    typeof value === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value);
  const number = isNumeric ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

function only(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(
    names.flatMap((name) => (name in fields ? [[name, fields[name]]] : [])),
  );
}

/** Python's truth of a list that may be null. */
function isSomething(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** An empty object stands for what is none. */
function fieldsOf(value: unknown): Fields {
  return objectOf(value) ?? {};
}
