import { header } from "./codec.ts";
import { LightningError } from "./errors.ts";

/** What places a span: its rollout, its number and its identity in it. */
export type SpanHead = {
  readonly project: string;
  readonly rolloutId: string;
  readonly attemptId: string;
  readonly sequenceId: number | null;
  readonly spanId: string;
};

type Cursor = { readonly bytes: Buffer; at: number };

/**
 * The first fields of a SpanRecorded in this build's own schema, without decoding the rest: whoever
 * follows all spans to keep their bytes needs no more, and a span is twenty times as long.
 *
 * Throws `record-malformed` where the bytes end within them.
 */
export function spanHeadOf(bytes: Buffer): SpanHead {
  const cursor = { bytes, at: header };
  const project = text(cursor);
  const rolloutId = text(cursor);
  const attemptId = text(cursor);
  // A union of null and long.
  const sequenceId = long(cursor) === 1 ? long(cursor) : null;
  // trace_id
  skip(cursor);
  const spanId = text(cursor);
  return { project, rolloutId, attemptId, sequenceId, spanId };
}

/** Avro's zigzag varint. */
function long(cursor: Cursor): number {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = cursor.bytes[cursor.at++];
    if (byte === undefined || factor > 2 ** 63) throw cut();
    value += (byte & 127) * factor;
    if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

function skip(cursor: Cursor): number {
  const length = long(cursor);
  const start = cursor.at;
  cursor.at += length;
  if (length < 0 || cursor.at > cursor.bytes.length) throw cut();
  return start;
}

function text(cursor: Cursor): string {
  const start = skip(cursor);
  return cursor.bytes.toString("utf8", start, cursor.at);
}

function cut(): LightningError {
  return new LightningError("record-malformed", "Avro of SpanRecorded is cut short");
}
