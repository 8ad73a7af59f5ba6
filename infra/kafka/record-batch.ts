import { crc32c } from "./crc32c.ts";

/** A record as kafkajs hands it to its encoder. */
export type BatchRecord = {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, Buffer | string>>;
  readonly offsetDelta: number;
  readonly timestampDelta: number;
};

export type BatchHead = {
  /** Bits 0–2: codec; bit 4: transactional. */
  readonly attributes: number;
  readonly firstTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly records: number;
};

/** Bytes before the records: base offset 8, length 4, then what the length counts. */
const headBytes = 61;
const countedFrom = 12;
const crcAt = 17;
const crcFrom = 21;
const magic = 2;

/** Records one behind the other, in exactly as many bytes as they take (format v2). */
export function encodeRecords(records: readonly BatchRecord[]): Buffer {
  const sizes = records.map(sizeOfRecord);
  const bytes = Buffer.allocUnsafe(
    sizes.reduce((sum, size) => sum + size + sizeOfVarint(size * 2), 0),
  );
  let at = 0;
  for (let i = 0; i < records.length; i++) {
    at = writeVarint(bytes, at, (sizes[i] ?? 0) * 2);
    at = writeRecord(bytes, at, records[i] ?? nothing);
  }
  return bytes;
}

const nothing: BatchRecord = { value: null, offsetDelta: 0, timestampDelta: 0 };

/**
 * A record batch around records that are encoded, and compressed as the attributes say.
 * https://kafka.apache.org/documentation/#recordbatch
 */
export function encodeBatch(head: BatchHead, records: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + records.length);
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(bytes.length - countedFrom, 8);
  bytes.writeInt32BE(0, 12);
  bytes.writeInt8(magic, 16);
  bytes.writeInt16BE(head.attributes, 21);
  bytes.writeInt32BE(head.records - 1, 23);
  bytes.writeBigInt64BE(BigInt(head.firstTimestamp), 27);
  bytes.writeBigInt64BE(BigInt(head.maxTimestamp), 35);
  bytes.writeBigInt64BE(head.producerId, 43);
  bytes.writeInt16BE(head.producerEpoch, 51);
  bytes.writeInt32BE(head.firstSequence, 53);
  bytes.writeInt32BE(head.records, 57);
  records.copy(bytes, headBytes);
  bytes.writeUInt32BE(crc32c(bytes, crcFrom), crcAt);
  return bytes;
}

function lengthOf(bytes: Buffer | string): number {
  return typeof bytes === "string" ? Buffer.byteLength(bytes) : bytes.length;
}

function sizeOfRecord({ key, value, headers, offsetDelta, timestampDelta }: BatchRecord): number {
  let size = 1 + sizeOfVarint(timestampDelta * 2) + sizeOfVarint(offsetDelta * 2);
  size += sizeOfBytes(key) + sizeOfBytes(value);
  const names = headers === undefined ? [] : Object.keys(headers);
  size += sizeOfVarint(names.length * 2);
  for (const name of names) size += sizeOfBytes(name) + sizeOfBytes(headers?.[name]);
  return size;
}

function sizeOfBytes(bytes: Buffer | string | null | undefined): number {
  if (bytes === null || bytes === undefined) return 1;
  const length = lengthOf(bytes);
  return sizeOfVarint(length * 2) + length;
}

function writeRecord(bytes: Buffer, start: number, record: BatchRecord): number {
  bytes[start] = 0;
  let at = writeVarint(bytes, start + 1, record.timestampDelta * 2);
  at = writeVarint(bytes, at, record.offsetDelta * 2);
  at = writeBytes(bytes, at, record.key);
  at = writeBytes(bytes, at, record.value);
  const { headers } = record;
  const names = headers === undefined ? [] : Object.keys(headers);
  at = writeVarint(bytes, at, names.length * 2);
  for (const name of names) {
    at = writeBytes(bytes, at, name);
    at = writeBytes(bytes, at, headers?.[name]);
  }
  return at;
}

/** Null is the length -1, which is 1 as a zigzag varint. */
function writeBytes(bytes: Buffer, at: number, value: Buffer | string | null | undefined): number {
  if (value === null || value === undefined) {
    bytes[at] = 1;
    return at + 1;
  }
  if (typeof value === "string") {
    const length = Buffer.byteLength(value);
    const start = writeVarint(bytes, at, length * 2);
    bytes.write(value, start);
    return start + length;
  }
  const start = writeVarint(bytes, at, value.length * 2);
  bytes.set(value, start);
  return start + value.length;
}

/** Zigzag doubles what is not negative, so callers pass the double; up to 2^53. */
function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 128) {
    bytes[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  bytes[at++] = rest;
  return at;
}
