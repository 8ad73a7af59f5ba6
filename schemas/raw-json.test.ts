import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rawItems, rawMembers, textOf, withoutBareNumbers } from "./raw-json.ts";

/** JSON text that JavaScript could not print again: what numbers say, spaces, escapes. */
const space = fc.constantFrom("", " ", "\n\t ", "\r\n");
const word = fc.oneof(
  fc.constantFrom("1.0", "1", "-0.0", "12345678901234567890", "1e400", "2.50E-3", "true", "null"),
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
  fc.constantFrom('"\\u0041\\/"', '"a\\\\"', '"\\""', '"]},{[:"', '"NaN, -Infinity"'),
);
const { value } = fc.letrec<{ value: string; list: string; object: string }>((tie) => {
  const spaced = fc.tuple(space, tie("value"), space).map((parts) => parts.join(""));
  const member = fc.tuple(fc.string({ unit: "binary" }), space, spaced);
  return {
    value: fc.oneof({ maxDepth: 3, withCrossShrink: true }, word, tie("list"), tie("object")),
    list: fc.array(spaced, { maxLength: 4 }).map((items) => `[${items.join(",")}]`),
    object: fc
      .array(member, { maxLength: 4 })
      .map((all) => `{${all.map(([k, s, v]) => `${JSON.stringify(k)}${s}:${v}`).join(",")}}`),
  };
});

test("members and items are the text they were written in", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), value)), space, (all, s) => {
      const members = all.map(([name, text]) => `${JSON.stringify(name)}${s}:${s}${text}`);
      const read = rawMembers(`${s}{${s}${members.join(`${s},${s}`)}${s}}${s}`);
      assert.deepEqual([...read].sort(), [...new Map(all)].sort());
      const texts = all.map(([, text]) => text);
      assert.deepEqual(rawItems(`${s}[${s}${texts.join(`${s},${s}`)}${s}]${s}`), texts);
    }),
    { numRuns: 500 },
  );
});

test("a text is read as JSON.parse reads it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(textOf(JSON.stringify(text)), text);
    }),
  );
});

test("numbers that JSON does not know become null, but not in texts", () => {
  const text = '{"a": NaN, "b": [-Infinity,Infinity], "NaN": "NaN \\" Infinity", "c": -1}';
  const mended = '{"a": null, "b": [null,null], "NaN": "NaN \\" Infinity", "c": -1}';
  assert.equal(withoutBareNumbers(text), mended);
  for (const wrong of ["nan", "-", "- Infinity", "NaNs", '"open']) {
    assert.throws(() => JSON.parse(withoutBareNumbers(wrong)), wrong);
  }
});

test("what is nested deeper than is allowed is refused by its name", () => {
  const limit = { deepest: 3, error: (name: string) => new Error(`${name} is too deep`) };
  assert.equal(rawMembers('{"a": [[[1]]]}', limit).get("a"), "[[[1]]]");
  assert.throws(() => rawMembers('{"a": 1, "b": [[[[1]]]]}', limit), /^Error: b is too deep/);
  assert.throws(() => rawItems("[1, [[[[1]]]]]", limit), /^Error: 1 is too deep/);
});
