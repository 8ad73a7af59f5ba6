import type { SpanRecorded } from "../../schemas/types.ts";
import { listOf, objectOf, parsed, textOf } from "../traces/attributes.ts";
import { itemsOf, nestedAt } from "../traces/nested.ts";
import { plainAttribute } from "./plain-attributes.ts";
import type { Triplet } from "./triplet.ts";

const input = "agentlightning.operation.input";
const output = "agentlightning.operation.output";

/** Where token ids are, as AgentOps and as Weave write them; the first that is there counts. */
const promptIds = ["prompt_token_ids", `${output}.prompt_token_ids`];
const responseIdNames = ["gen_ai.response.id", `${output}.id`];
const responseIds = [
  "response_token_ids",
  `${output}.response_token_ids.0`,
  `${output}.choices.0.token_ids`,
  `${output}.choices.0.provider_specific_fields.token_ids`,
];

/** Id of the response, or null: what makes two spans the same call. */
export function responseIdOf(span: SpanRecorded): string | null {
  return textOf(span, responseIdNames);
}

/** The triplet of a span, still without its reward (reference/v0.3-behaviour.md, 3.5). */
export function tripletOf(span: SpanRecorded, agent_name: string, policy: string): Triplet {
  const messages = nestedAt(span, "gen_ai.prompt") ?? nestedAt(span, `${input}.messages`) ?? null;
  const answer = nestedAt(span, "gen_ai.completion") ?? nestedAt(span, `${output}.choices`) ?? null;
  const logprobs = logprobsOf(span);
  const response = { token_ids: idsOf(span, responseIds), raw_content: answer };
  const metadata = {
    request: nestedAt(span, "gen_ai.request") ?? without(nestedAt(span, input), ["messages"]),
    response:
      nestedAt(span, "gen_ai.response") ??
      without(nestedAt(span, output), ["choices", "prompt_token_ids", "response_token_ids"]),
    response_id: responseIdOf(span),
    agent_name,
  };
  return {
    prompt: {
      token_ids: idsOf(span, promptIds),
      raw_content: messages,
      image_urls: imageUrls(messages),
    },
    response: logprobs === undefined ? response : { ...response, logprobs },
    reward: null,
    metadata: policy === "" ? metadata : { ...metadata, policy },
  };
}

/** True when a triplet has no token of the prompt or none of the response. */
export function lacksTokens({ prompt, response }: Triplet): boolean {
  return prompt.token_ids.length === 0 || response.token_ids.length === 0;
}

/** The list under the first name there is; nothing when it is no list of integers. */
function idsOf({ attributes }: SpanRecorded, names: readonly string[]): readonly number[] {
  for (const name of names) {
    const packed = attributes.int_lists[name];
    if (packed !== undefined) return packed.length % 4 === 0 ? plainIds(packed) : [];
    if (attributes.double_lists[name] !== undefined) return [];
    const value = plainAttribute(attributes, name);
    if (value !== undefined) {
      return Array.isArray(value) && value.every(Number.isInteger) ? value : [];
    }
  }
  return [];
}

/** Token ids (int32 little endian) as plain numbers, without a copy of the bytes in between. */
function plainIds({ buffer, byteOffset, length }: Uint8Array): number[] {
  const packed = new DataView(buffer, byteOffset, length);
  const ids = new Array<number>(length >> 2);
  for (let i = 0; i < ids.length; i++) ids[i] = packed.getInt32(i * 4, true);
  return ids;
}

function logprobsOf({ attributes }: SpanRecorded): unknown {
  const text = attributes.strings["logprobs.content"];
  return text === undefined ? undefined : parsed(text);
}

/** Image addresses of messages: of a list, of an object by index, or of one message. */
function imageUrls(messages: unknown): unknown[] {
  const items = itemsOf(messages);
  const listed = items.length > 0 || Array.isArray(messages) ? items : [messages];
  const urls: unknown[] = [];
  for (const message of listed) {
    const content = objectOf(message)?.content;
    for (const part of listOf(typeof content === "string" ? listIn(content) : content)) {
      const { type, image_url } = objectOf(part) ?? {};
      const image = type === "image_url" ? objectOf(image_url) : null;
      if (image !== null && "url" in image) urls.push(image.url);
    }
  }
  return urls;
}

/** Most texts are no JSON, and a failed attempt to read one costs more than all else here. */
function listIn(text: string): unknown {
  return /^\s*\[/.test(text) ? parsed(text) : undefined;
}

function without(value: unknown, names: readonly string[]): unknown {
  const fields = objectOf(value);
  if (fields === null) return value ?? null;
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}
