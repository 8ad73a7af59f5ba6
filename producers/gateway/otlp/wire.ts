import { LightningError } from "../../../schemas/errors.ts";

/**
 * Reads the protobuf wire format (https://protobuf.dev/programming-guides/encoding) straight from
 * the request's bytes. A message ends at a given offset; a read past it is found when the message
 * is left, so that no single read has to check.
 */
export type Cursor = { readonly bytes: Buffer; at: number };

export function cursorOf(bytes: Buffer): Cursor {
  return { bytes, at: 0 };
}

/** The error for bytes that are no protobuf message of the kind expected. */
export function malformed(c: Cursor, what: string): LightningError {
  return new LightningError("request-invalid", `protobuf at byte ${c.at}: ${what}`);
}

/** The next tag (field number × 8 + wire type). */
export function tag(c: Cursor): number {
  const byte = c.bytes[c.at] ?? 0;
  if (byte < 128) {
    c.at++;
    return byte;
  }
  return uint32(c);
}

/** A varint of which the low 32 bits count. */
export function uint32(c: Cursor): number {
  const { bytes } = c;
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[c.at++] ?? 0;
    if (shift < 32) value |= (byte & 127) << shift;
    if (byte < 128) return value >>> 0;
  }
  throw malformed(c, "a number is longer than 10 bytes");
}

/** A signed 64-bit varint: a number within ±2^53, else a bigint. */
export function int64(c: Cursor): number | bigint {
  const { bytes } = c;
  const first = bytes[c.at] ?? 0;
  if (first < 128) {
    c.at++;
    return first;
  }
  let low = 0;
  let high = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[c.at++] ?? 0;
    if (shift < 28) low |= (byte & 127) << shift;
    else if (shift < 56) high |= (byte & 127) << (shift - 28);
    if (byte >= 128) continue;
    // 56 bits are in low and high; only negative and huge numbers have more.
    if (shift < 49) return high * 0x10000000 + low;
    return huge(bytes, c.at - 1 - shift / 7);
  }
  throw malformed(c, "a number is longer than 10 bytes");
}

function huge(bytes: Buffer, start: number): number | bigint {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[start + i] ?? 0;
    value |= BigInt(byte & 127) << BigInt(7 * i);
    if (byte < 128) break;
  }
  const signed = BigInt.asIntN(64, value);
  const number = Number(signed);
  return Number.isSafeInteger(number) ? number : signed;
}

/** A length, and with it the end of the field; throws when that lies beyond `end`. */
export function stop(c: Cursor, end: number): number {
  const length = c.bytes[c.at] ?? 0;
  const stopAt = length < 128 ? ++c.at + length : uint32(c) + c.at;
  if (stopAt > end) throw malformed(c, "a field is longer than its message");
  return stopAt;
}

/** Steps over the value of an unknown field. */
export function skip(c: Cursor, key: number, end: number): void {
  const wireType = key & 7;
  if (key >>> 3 === 0) throw malformed(c, "field number 0");
  if (wireType === 0) uint32(c);
  else if (wireType === 1) c.at += 8;
  else if (wireType === 2) c.at = stop(c, end);
  else if (wireType === 5) c.at += 4;
  else throw malformed(c, `wire type ${wireType}, allowed are 0, 1, 2 and 5`);
}

/** Whether another field follows; throws when the last one ran over the end of its message. */
export function more(c: Cursor, end: number): boolean {
  if (c.at > end) throw malformed(c, "the message is cut short");
  return c.at < end;
}

/** Text that is rarely the same twice. */
export function text(c: Cursor, end: number): string {
  const stopAt = stop(c, end);
  const value = c.bytes.toString("utf8", c.at, stopAt);
  c.at = stopAt;
  return value;
}

const internedSlots = 2048;
const longestInterned = 48;
const interned: string[] = new Array(internedSlots).fill("");

/**
 * Text that is often the same: names of attributes, models and spans. The same string object comes
 * back, found by a few of its bytes and compared whole, which costs less than decoding UTF-8 and
 * lets V8 use it as a property name without hashing it again.
 */
export function sameText(c: Cursor, end: number): string {
  const start = c.at;
  const stopAt = stop(c, end);
  const from = c.at;
  const length = stopAt - from;
  if (length === 0 || length > longestInterned) {
    c.at = start;
    return text(c, end);
  }
  const { bytes } = c;
  c.at = stopAt;
  const mixed =
    (length << 5) ^
    ((bytes[from] ?? 0) << 3) ^
    ((bytes[stopAt - 1] ?? 0) << 6) ^
    ((bytes[from + (length >> 1)] ?? 0) << 2) ^
    (bytes[from + (length >> 2)] ?? 0) ^
    ((bytes[stopAt - (length >> 2) - 1] ?? 0) << 4);
  const slot = mixed & (internedSlots - 1);
  const known = interned[slot] ?? "";
  if (known.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === bytes[from + i]) i++;
    if (i === length) return known;
  }
  const value = bytes.toString("utf8", from, stopAt);
  interned[slot] = value;
  return value;
}
