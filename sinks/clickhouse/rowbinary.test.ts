import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createWriter, int64, type Kind, list, nanos, text, word } from "./rowbinary.ts";

function written<T>(kind: Kind<T>, value: T): Buffer {
  const out = createWriter(1);
  kind.write(out, value);
  return out.bytes.subarray(0, out.end);
}

test("every safe integer is its int64", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      assert.equal(written(int64, value).readBigInt64LE(), BigInt(value));
    }),
  );
});

test("microseconds and nanoseconds are int64 nanoseconds, before 1970 too", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.integer({ min: 0, max: 999 }), (micros, rest) => {
      const bytes = written(nanos, { micros, nanos: rest });
      assert.equal(bytes.readBigInt64LE(), BigInt(micros) * 1000n + BigInt(rest));
    }),
  );
});

test("text of any length is its UTF-8 behind its length, broken UTF-16 as U+FFFD", () => {
  const any = fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.constant("\ud800x"));
  fc.assert(
    fc.property(any, (value) => {
      const bytes = written(text, value);
      const body = Buffer.from(value);
      const start = bytes.length - body.length;
      assert.deepEqual(bytes.subarray(start), body);
      let length = 0;
      for (let i = 0; i < start; i++) length += ((bytes[i] ?? 0) & 0x7f) * 128 ** i;
      assert.equal(length, body.length);
    }),
  );
});

test("growing loses no byte", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 90 }), { maxLength: 400 }), (values) => {
      const parts = values.map((value) => written(word, value));
      const whole = written(list(word), values);
      assert.deepEqual(whole.subarray(values.length < 128 ? 1 : 2), Buffer.concat(parts));
    }),
  );
});
