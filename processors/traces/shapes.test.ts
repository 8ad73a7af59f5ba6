import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { attributesOf } from "./fixtures.ts";
import { nestedAt } from "./nested.ts";
import { shapeOf } from "./shapes.ts";

const names = fc.oneof(
  fc.constantFrom("a", "a.0", "a.1", "a.b", "b", "toString", "x".repeat(250)),
  fc.string({ maxLength: 3 }),
);
const values = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant([1, 2]));
const attributes = fc.dictionary(names, values, { maxKeys: 8 }).map(attributesOf);

test("a shape has the names of the attributes it was asked for, whatever was asked before", () => {
  fc.assert(
    fc.property(attributes, (asked) => {
      const listed = Object.entries(asked).flatMap(([kind, map]) =>
        Object.keys(map).map((name) => `${kind} ${name}`),
      );
      const found = shapeOf(asked).names.map(({ kind, name }) => `${kind} ${name}`);
      assert.deepEqual(found.sort(), listed.sort());
    }),
    { numRuns: 1000 },
  );
});

test("attributes of the same names share a shape, of another kind or order of names they need not", () => {
  const shape = shapeOf(attributesOf({ a: "x", "b.0": 1 }));
  assert.equal(shapeOf(attributesOf({ a: "y", "b.0": 2 })), shape);
  assert.notEqual(shapeOf(attributesOf({ a: "y", "b.0": "2" })), shape);
  assert.notEqual(shapeOf(attributesOf({ a: "y", "b.1": 2 })), shape);
});

test("names without end are read, but not kept", () => {
  const before = shapeOf(attributesOf({ first: 1 }));
  for (let i = 0; i < 60; i++) {
    const many = Object.fromEntries(Array.from({ length: 900 }, (_, k) => [`a.${i}.${k}`, k]));
    assert.equal(shapeOf(attributesOf(many)).names.length, 900);
  }
  const after = shapeOf(attributesOf({ first: 1 }));
  assert.notEqual(after, before);
  assert.deepEqual(after.names, before.names);
  const list = Array.from({ length: 5000 }, (_, i) => i);
  const long = Object.fromEntries(list.map((i) => [`a.${i}`, i]));
  assert.deepEqual(nestedAt({ attributes: attributesOf(long) }, "a"), list);
});
