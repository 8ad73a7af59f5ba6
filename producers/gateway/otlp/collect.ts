import { LightningError } from "../../../schemas/errors.ts";
import { bundled } from "../../../schemas/records.ts";
import { keyOf, maxSpanBytes } from "../../../schemas/topics.ts";
import type { SpanRecorded } from "../../../schemas/types.ts";
import type { Produced } from "../../producer.ts";
import type { Format } from "./answers.ts";
import { readJson } from "./json.ts";
import { type Address, place } from "./place.ts";
import { readProtobuf } from "./protobuf.ts";

/** What a request brought. */
export type Collected = {
  readonly records: readonly Produced<"SpanRecorded">[];
  readonly rejected: number;
  /** Why, with counts; empty when nothing was rejected. */
  readonly message: string;
  /** Size on the wire of the largest span, rejected ones included. */
  readonly largest: number;
};

/** Most spans in one request; senders batch a few hundred. A decoded span takes about 1 KiB. */
export const maxSpans = 50_000;

/** Most bytes a request may grow to when each span takes its resource along. */
export const maxExpanded = 128 * 1024 * 1024;

/** JSON text of an attribute is at most 6 times as long as on the wire (`\u0000`). */
const surelyFits = maxSpanBytes / 8;

/** Reasons named in an answer; the counts of the others are summed. */
const namedReasons = 10;

/** Decodes a request's spans and puts them in their places; throws as the readers do. */
export function collectSpans(format: Format, body: Buffer, address: Address): Collected {
  const records: Produced<"SpanRecorded">[] = [];
  const reasons = new Map<string, number>();
  let expanded = 0;
  let largest = 0;
  let count = 0;
  const take = (span: SpanRecorded, bytes: number, problem: string | null): void => {
    count++;
    expanded += bytes;
    if (bytes > largest) largest = bytes;
    if (count > maxSpans) throw tooMany(`more than ${maxSpans} spans`);
    if (expanded > maxExpanded) throw tooMany("spans whose copies of the resource are too large");
    const reason = problem ?? place(span, address) ?? sizeProblem(span, bytes);
    if (reason === null) {
      const key = keyOf(span.project, span.rollout_id);
      records.push({ topic: "spans", key, type: "SpanRecorded", value: span });
    } else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  };
  if (format === "protobuf") readProtobuf(body, take);
  else readJson(body, take);
  return { records, rejected: count - records.length, message: messageOf(reasons), largest };
}

function tooMany(what: string): LightningError {
  const message = `body has ${what}: send it in smaller batches`;
  return new LightningError("too-large", message, { field: "body" });
}

function sizeProblem(span: SpanRecorded, bytes: number): string | null {
  if (bytes <= surelyFits) return null;
  const size = bytes > maxSpanBytes ? bytes : avroBytes(span);
  return size > maxSpanBytes ? `span is larger than ${maxSpanBytes} bytes` : null;
}

const nowhere = Buffer.alloc(0);

/** Size of a span as a record: how far avsc would have run over an empty buffer. */
export function avroBytes(span: SpanRecorded): number {
  return -bundled.SpanRecorded.type.encode(span, nowhere, 0);
}

function messageOf(reasons: ReadonlyMap<string, number>): string {
  const parts = [...reasons].map(([reason, count]) => `${count} × ${reason}`);
  const more = parts.length - namedReasons;
  return more <= 0
    ? parts.join("; ")
    : `${parts.slice(0, namedReasons).join("; ")}; and ${more} reasons more`;
}
