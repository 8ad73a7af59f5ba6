/**
 * ClickHouse's RowBinaryWithNamesAndTypes, written by hand: packed token lists and log-probs are
 * copied as they stand in the log, NaN and int64 need no special case, text that is no valid
 * UTF-16 becomes U+FFFD, and a column that drifted is an error of the header and not garbage.
 */

/** Bytes under construction; grows by itself. */
export type Writer = { bytes: Buffer; end: number };

/** How values of one ClickHouse type are written. */
export type Kind<T> = { readonly sql: string; readonly write: (out: Writer, value: T) => void };

export function createWriter(size = 256 * 1024): Writer {
  return { bytes: Buffer.allocUnsafe(size), end: 0 };
}

/** Makes room for `count` more bytes and returns where they start. */
function reserve(out: Writer, count: number): number {
  const start = out.end;
  if (start + count > out.bytes.length) {
    const larger = Buffer.allocUnsafe(Math.max(out.bytes.length * 2, start + count));
    out.bytes.copy(larger, 0, 0, start);
    out.bytes = larger;
  }
  out.end = start + count;
  return start;
}

function writeByte(out: Writer, byte: number): void {
  // In this order: making room may replace the buffer.
  const start = reserve(out, 1);
  out.bytes[start] = byte;
}

export function writeLength(out: Writer, length: number): void {
  let rest = length;
  while (rest >= 0x80) {
    writeByte(out, (rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  writeByte(out, rest);
}

export function writeText(out: Writer, value: string): void {
  if (value.length > 42) {
    const length = Buffer.byteLength(value);
    writeLength(out, length);
    const start = reserve(out, length);
    out.bytes.write(value, start, length);
    return;
  }
  // At most 126 bytes of UTF-8: the length is one byte, so nothing is counted twice.
  const start = reserve(out, 1 + value.length * 3);
  const length = out.bytes.write(value, start + 1);
  out.bytes[start] = length;
  out.end = start + 1 + length;
}

function writeBytes(out: Writer, value: Uint8Array): void {
  const start = reserve(out, value.length);
  out.bytes.set(value, start);
}

const two32 = 2 ** 32;

function writeInt64(out: Writer, value: number): void {
  const start = reserve(out, 8);
  out.bytes.writeUInt32LE(value >>> 0, start);
  out.bytes.writeInt32LE(Math.floor(value / two32), start + 4);
}

export const text: Kind<string> = { sql: "String", write: writeText };
/** Text with few different values; the same bytes on the wire. */
export const word: Kind<string> = { sql: "LowCardinality(String)", write: writeText };
export const optionalWord: Kind<string | null> = {
  sql: "LowCardinality(Nullable(String))",
  write: (out, value) => writeOptional(out, text, value),
};
export const bytes: Kind<Uint8Array> = {
  sql: "String",
  write(out, value) {
    writeLength(out, value.length);
    writeBytes(out, value);
  },
};
export const bool: Kind<boolean> = {
  sql: "Bool",
  write(out, value) {
    writeByte(out, value ? 1 : 0);
  },
};
export const int32: Kind<number> = {
  sql: "Int32",
  write(out, value) {
    const start = reserve(out, 4);
    out.bytes.writeInt32LE(value, start);
  },
};
/** Integers within ±2^53. */
export const int64: Kind<number> = { sql: "Int64", write: writeInt64 };
export const float64: Kind<number> = {
  sql: "Float64",
  write(out, value) {
    const start = reserve(out, 8);
    out.bytes.writeDoubleLE(value, start);
  },
};
/** ms since epoch. */
export const millis: Kind<number> = { sql: "DateTime64(3, 'UTC')", write: writeInt64 };
/** µs since epoch. */
export const micros: Kind<number> = { sql: "DateTime64(6, 'UTC')", write: writeInt64 };
/** µs since epoch and ns beyond them. */
export const nanos: Kind<{ readonly micros: number; readonly nanos: number }> = {
  sql: "DateTime64(9, 'UTC')",
  write(out, value) {
    // In two halves: the product passes 2^53, a BigInt per timestamp costs more than the rest.
    const low = (value.micros >>> 0) * 1000 + value.nanos;
    const start = reserve(out, 8);
    out.bytes.writeUInt32LE(low >>> 0, start);
    const high = Math.floor(value.micros / two32) * 1000 + Math.floor(low / two32);
    out.bytes.writeInt32LE(high, start + 4);
  },
};

function writeOptional<T>(out: Writer, kind: Kind<T>, value: T | null): void {
  writeByte(out, value === null ? 1 : 0);
  if (value !== null) kind.write(out, value);
}

export function optional<T>(kind: Kind<T>): Kind<T | null> {
  return {
    sql: `Nullable(${kind.sql})`,
    write: (out, value) => writeOptional(out, kind, value),
  };
}

export function list<T>(kind: Kind<T>): Kind<readonly T[]> {
  return {
    sql: `Array(${kind.sql})`,
    write(out, values) {
      writeLength(out, values.length);
      for (const value of values) kind.write(out, value);
    },
  };
}

/** A packed little-endian list as it travels (schemas/bytes.ts); throws RangeError when cut short. */
function packed(sql: string, size: number): Kind<Uint8Array> {
  return {
    sql: `Array(${sql})`,
    write(out, value) {
      if (value.length % size !== 0) {
        throw new RangeError(
          `read ${value.length} bytes, a packed list of ${sql} has a multiple of ${size}`,
        );
      }
      writeLength(out, value.length / size);
      writeBytes(out, value);
    },
  };
}

export const int32s = packed("Int32", 4);
export const float32s = packed("Float32", 4);
export const float64s = packed("Float64", 8);
export const uint8s = packed("UInt8", 1);

export function dictionary<T>(
  kind: Kind<T>,
  names: Kind<string> = word,
): Kind<{ readonly [name: string]: T }> {
  return {
    sql: `Map(${names.sql}, ${kind.sql})`,
    write(out, values) {
      const entries = Object.entries(values);
      writeLength(out, entries.length);
      for (const [name, value] of entries) {
        names.write(out, name);
        kind.write(out, value);
      }
    },
  };
}

/** One named part of a record: a column of a table, or a member of a tuple. */
export type Field<S> = {
  readonly name: string;
  readonly sql: string;
  readonly write: (out: Writer, source: S) => void;
};

export function field<S, T>(name: string, kind: Kind<T>, of: (source: S) => T): Field<S> {
  return { name, sql: kind.sql, write: (out, source) => kind.write(out, of(source)) };
}

export function tuple<S>(fields: readonly Field<S>[]): Kind<S> {
  return {
    sql: `Tuple(${fields.map(({ name, sql }) => `${name} ${sql}`).join(", ")})`,
    write(out, source) {
      for (const member of fields) member.write(out, source);
    },
  };
}
