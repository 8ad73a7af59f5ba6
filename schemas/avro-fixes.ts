import { createRequire } from "node:module";
import avro from "avsc";

const require = createRequire(import.meta.url);

type Tap = {
  buf: Buffer;
  pos: number;
  readLong(): number;
  skipLong(): void;
  readString(): string;
  _invalidate(): void;
  writeLong(n: number): void;
};
type Item = { _read(tap: Tap): unknown };
type ReadMap = { valuesType: Item; _read(tap: Tap): unknown };
type ReadArray = { itemsType: Item; _read(tap: Tap): unknown };

/**
 * Length of the next block of a map or array; 0 ends it. avsc believes any length, so nine hostile
 * bytes would keep it reading beyond the buffer for 2^53 rounds. An item takes at least a byte.
 */
function blockLength(tap: Tap): number {
  let length = tap.readLong();
  if (length < 0) {
    length = -length;
    tap.skipLong();
  }
  if (length <= tap.buf.length - tap.pos) return length;
  tap._invalidate();
  return 0;
}

function readMap(this: ReadMap, tap: Tap): Record<string, unknown> {
  const map: Record<string, unknown> = {};
  for (let n = blockLength(tap); n > 0; n = blockLength(tap)) {
    for (; n > 0; n--) {
      const key = tap.readString();
      const value = this.valuesType._read(tap);
      if (key === "__proto__") {
        // Assigning it would set the prototype and lose the entry.
        Object.defineProperty(map, key, {
          value,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      } else map[key] = value;
    }
  }
  return map;
}

function readArray(this: ReadArray, tap: Tap): unknown[] {
  const items: unknown[] = [];
  for (let n = blockLength(tap); n > 0; n = blockLength(tap)) {
    for (; n > 0; n--) items.push(this.itemsType._read(tap));
  }
  return items;
}

/** avsc doubles a number to find its sign, which rounds beyond 2^52; here sign and size are apart. */
function readLong(this: Tap): number {
  const first = this.buf[this.pos++] ?? 0;
  let half = (first & 0x7f) >> 1;
  for (let byte = first, unit = 64; byte & 0x80; unit *= 128) {
    byte = this.buf[this.pos++] ?? 0;
    half += (byte & 0x7f) * unit;
  }
  return first & 1 ? -half - 1 : half;
}

function writeLong(this: Tap, n: number): void {
  let rest = n < 0 ? -(n + 1) : n;
  let byte = (rest % 64) * 2 + (n < 0 ? 1 : 0);
  rest = Math.floor(rest / 64);
  while (rest > 0) {
    this.buf[this.pos++] = byte | 0x80;
    byte = rest % 128;
    rest = Math.floor(rest / 128);
  }
  this.buf[this.pos++] = byte;
}

type Types = { MapType: { prototype: ReadMap }; ArrayType: { prototype: ReadArray } };
type Utils = { Tap: { prototype: { readLong: unknown; writeLong: unknown } } };

/**
 * Mends two faults of avsc 5.7.9: readers of maps and arrays stop at the end of the buffer, and
 * longs are exact to ±(2^53 − 2), the largest it takes.
 */
export function mendAvro(): void {
  const { MapType, ArrayType } = avro.types as unknown as Types;
  MapType.prototype._read = readMap;
  ArrayType.prototype._read = readArray;
  const { Tap } = require("avsc/lib/utils") as Utils;
  Tap.prototype.readLong = readLong;
  Tap.prototype.writeLong = writeLong;
}
