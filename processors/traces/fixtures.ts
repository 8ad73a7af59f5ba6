import { packFloat64, packInt32 } from "../../schemas/bytes.ts";
import type { Attributes, Call, SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { readSpan } from "./read-span.ts";

export function attributesOf(values: Readonly<Record<string, unknown>>): Attributes {
  const attributes: Attributes = {
    strings: {},
    longs: {},
    doubles: {},
    booleans: {},
    int_lists: {},
    double_lists: {},
    json: {},
  };
  for (const [name, value] of Object.entries(values)) put(attributes, name, value);
  return attributes;
}

function put(into: Attributes, name: string, value: unknown): void {
  if (typeof value === "string") into.strings[name] = value;
  else if (typeof value === "boolean") into.booleans[name] = value;
  else if (Number.isInteger(value)) into.longs[name] = value as number;
  else if (typeof value === "number") into.doubles[name] = value;
  else if (Array.isArray(value) && value.every(isInt32)) {
    into.int_lists[name] = packInt32(value as number[]);
  } else if (Array.isArray(value) && value.every((item) => typeof item === "number")) {
    into.double_lists[name] = packFloat64(value as number[]);
  } else into.json[name] = JSON.stringify(value);
}

function isInt32(value: unknown): boolean {
  return typeof value === "number" && (value | 0) === value;
}

const plain = {
  project: "default",
  rollout_id: "ro",
  attempt_id: "at",
  sequence_id: null,
  trace_id: "t",
  parent_id: null,
  name: "span",
  kind: "INTERNAL",
  start_nanos: 0,
  end_nanos: 0,
  status_code: "OK",
  status_message: null,
  resource: attributesOf({}),
  resource_schema_url: "",
  scope_name: "",
  scope_version: "",
  trace_state: "",
  flags: 1,
  events: [],
  links: [],
  dropped_attributes: 0,
  dropped_events: 0,
  dropped_links: 0,
  extra: null,
} as const;

export type Fields = Partial<Omit<SpanRecorded, "attributes">> & {
  readonly attributes?: Readonly<Record<string, unknown>>;
};

/** A span of rollout `ro`, attempt `at`; times in seconds. */
export function spanOf(
  span_id: string,
  start: number,
  end: number,
  { attributes = {}, ...fields }: Fields = {},
): SpanRecorded {
  return {
    ...plain,
    events: [],
    links: [],
    span_id,
    start_time: Math.round(start * 1e6),
    end_time: Math.round(end * 1e6),
    ...fields,
    attributes: attributesOf(attributes),
  };
}

/** A finished LLM call with token ids made of its id. */
export function callOf(
  span_id: string,
  start: number,
  end: number,
  fields: Fields = {},
): SpanRecorded {
  const ids = [...span_id].map((letter) => letter.charCodeAt(0));
  return spanOf(span_id, start, end, {
    name: "openai.chat.completion",
    ...fields,
    attributes: {
      "gen_ai.prompt.0.role": "user",
      "gen_ai.prompt.0.content": `question ${span_id}`,
      "gen_ai.completion.0.role": "assistant",
      "gen_ai.completion.0.content": `answer ${span_id}`,
      "gen_ai.response.id": `response ${span_id}`,
      prompt_token_ids: [1, ...ids],
      response_token_ids: ids,
      ...fields.attributes,
    },
  });
}

/** A reward annotation. */
export function rewardOf(
  span_id: string,
  at: number,
  value: unknown,
  fields: Fields = {},
): SpanRecorded {
  return spanOf(span_id, at, at, {
    name: "agentlightning.annotation",
    ...fields,
    attributes: {
      "agentlightning.reward.0.name": "primary",
      "agentlightning.reward.0.value": value,
      ...fields.attributes,
    },
  });
}

/** A span as agentlightning 0.3 writes it to JSON, as far as these tests need it. */
export type RecordedSpan = {
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly sequence_id: number;
  readonly span_id: string;
  readonly parent_id: string | null;
  readonly name: string;
  readonly status: { readonly status_code: string };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly start_time: number;
  readonly end_time: number;
};

/** The record our gateway would make of it, in rollout `ro`, attempt `at`. */
export function fromRecorded(span: RecordedSpan): SpanRecorded {
  const { sequence_id, parent_id, name, status, attributes } = span;
  const fields = { sequence_id, parent_id, name, status_code: status.status_code, attributes };
  return spanOf(span.span_id, span.start_time, span.end_time, fields);
}

/** What is kept of a span with this name and these attributes. */
export function keptOf(
  name: string,
  attributes: Readonly<Record<string, unknown>>,
  fields: Fields = {},
): SpanKept {
  const span = spanOf("s", 1, 2, { ...fields, name, attributes });
  return readSpan(span, { partition: 0, offset: 0, timestamp: 0 });
}

/** The LLM call it is; throws when it is none. */
export function calledOf(
  name: string,
  attributes: Readonly<Record<string, unknown>>,
  fields: Fields = {},
): Call {
  const { call } = keptOf(name, attributes, fields);
  if (call === null) throw new Error(`${name} is no call`);
  return call;
}
