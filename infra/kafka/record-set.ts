/** A record as it was fetched, with what the filter of aborted transactions needs. */
export type RawMessage = {
  offset: number;
  /** ms since epoch. */
  timestamp: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer>;
  isControlRecord: boolean;
  batchContext: BatchContext;
};

export type BatchContext = { readonly producerId: string; readonly inTransaction: boolean };

/** Uncompresses the records of a batch, by the codec bits of its attributes; null: none needed. */
export type Decompress = (codec: number) => ((bytes: Buffer) => Promise<Buffer>) | null;

const headBytes = 61;
const lengthAt = 8;
const countedFrom = 12;
const magicAt = 16;
const codecMask = 7;
const logAppendBit = 8;
const transactionalBit = 16;
const controlBit = 32;

/**
 * Whether a record set is of the format that brokers have written since 0.11. One too short to tell
 * holds nothing whole.
 */
export function isRecordSet(bytes: Buffer): boolean {
  return bytes.length <= magicAt || bytes[magicAt] === 2;
}

/**
 * The records of a set of batches (https://kafka.apache.org/documentation/#recordbatch). The last
 * batch may be cut off by the size of the answer: it is left for the next fetch.
 */
export async function decodeRecordSet(
  bytes: Buffer,
  decompress: Decompress,
): Promise<RawMessage[]> {
  const messages: RawMessage[] = [];
  for (let at = 0; at + headBytes <= bytes.length; ) {
    const end = at + countedFrom + bytes.readInt32BE(at + lengthAt);
    if (end > bytes.length) break;
    const records = bytes.subarray(at + headBytes, end);
    const uncompress = decompress(bytes.readInt16BE(at + 21) & codecMask);
    const plain = uncompress === null ? records : await uncompress(records);
    decodeBatch(bytes, at, plain, messages);
    at = end;
  }
  return messages;
}

function decodeBatch(head: Buffer, at: number, records: Buffer, into: RawMessage[]): void {
  const attributes = head.readInt16BE(at + 21);
  const firstOffset = Number(head.readBigInt64BE(at));
  const appended = (attributes & logAppendBit) !== 0;
  const time = Number(head.readBigInt64BE(at + (appended ? 35 : 27)));
  const isControlRecord = (attributes & controlBit) !== 0;
  const batchContext = {
    producerId: head.readBigInt64BE(at + 43).toString(),
    inTransaction: (attributes & transactionalBit) !== 0,
  };
  const count = head.readInt32BE(at + 57);
  const cursor: Cursor = { bytes: records, at: 0 };
  for (let i = 0; i < count; i++) {
    const end = varint(cursor) + cursor.at;
    cursor.at += 1;
    const timestampDelta = varint(cursor);
    into.push({
      timestamp: appended ? time : time + timestampDelta,
      offset: firstOffset + varint(cursor),
      key: bytesAt(cursor),
      value: bytesAt(cursor),
      headers: headersAt(cursor),
      isControlRecord,
      batchContext,
    });
    cursor.at = end;
  }
}

type Cursor = { readonly bytes: Buffer; at: number };

/** A zigzag varint; numbers beyond 2^53 do not come up in offsets, times and lengths. */
function varint(cursor: Cursor): number {
  let value = 0;
  let factor = 1;
  for (;;) {
    const byte = cursor.bytes[cursor.at++];
    if (byte === undefined) throw new RangeError("a record batch ends within a number");
    value += (byte & 127) * factor;
    if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    factor *= 128;
  }
}

function bytesAt(cursor: Cursor): Buffer | null {
  const length = varint(cursor);
  if (length < 0) return null;
  const start = cursor.at;
  cursor.at += length;
  if (cursor.at > cursor.bytes.length) throw new RangeError("a record batch ends within a record");
  return cursor.bytes.subarray(start, cursor.at);
}

/** Of a name that comes twice the last counts. */
function headersAt(cursor: Cursor): Record<string, Buffer> {
  const headers: [string, Buffer][] = [];
  for (let left = varint(cursor); left > 0; left--) {
    const name = bytesAt(cursor)?.toString("utf8") ?? "";
    headers.push([name, bytesAt(cursor) ?? Buffer.alloc(0)]);
  }
  return headers.length === 0 ? {} : Object.fromEntries(headers);
}
