import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { attributesOf } from "./fixtures.ts";
import { entriesOf, itemsOf, nestedAt } from "./nested.ts";

const at = (values: Readonly<Record<string, unknown>>): unknown =>
  nestedAt({ attributes: attributesOf(values) }, "a");

/** Dotted names of the leaves; what is empty has none. */
function leaves(prefix: string, value: unknown): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [[prefix, value]];
  return Object.entries(value).flatMap(([name, item]) => leaves(`${prefix}.${name}`, item));
}

const tree = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small" },
    fc.oneof(fc.string(), fc.boolean(), fc.integer(), fc.constant(null)),
    fc.array(tie("any"), { minLength: 1, maxLength: 12 }),
    fc.dictionary(fc.constantFrom("b", "c", "role", "__proto__"), tie("any"), {
      minKeys: 1,
      noNullPrototype: true,
    }),
  ),
})).any;

test("what was taken apart is put together again", () => {
  fc.assert(
    fc.property(tree, (value) => {
      const names = Object.fromEntries(leaves("a", value).reverse());
      if (names.a === undefined) assert.deepEqual(at(names), value);
    }),
  );
});

test("a leaf where a branch is gives way to it, in whatever order they come", () => {
  assert.deepEqual(at({ "a.b": 1, "a.b.c": 2 }), { b: { c: 2 } });
  assert.deepEqual(at({ "a.b.c": "branch", "a.b": "leaf" }), { b: { c: "branch" } });
  assert.deepEqual(at({ "a.b": 1, "a.b.c": "text" }), at({ "a.b.c": "text", "a.b": 1 }));
});

test("indexes with gaps or names among them make no list, but their items are found in order", () => {
  const gaps = at({ "a.10": "z", "a.9": "y", "a.filter": "x", "a.1e3": "no index" });
  assert.deepEqual(gaps, { "10": "z", "9": "y", filter: "x", "1e3": "no index" });
  assert.deepEqual(itemsOf(gaps), ["y", "z"]);
  assert.deepEqual(entriesOf(gaps), [
    [9, "y"],
    [10, "z"],
  ]);
  assert.deepEqual(entriesOf(["y", "z"]), [
    [0, "y"],
    [1, "z"],
  ]);
  assert.deepEqual([itemsOf("text"), itemsOf(null), itemsOf(undefined)], [[], [], []]);
});

test("what stands whole under the name is read as JSON, and lists of numbers come back", () => {
  assert.deepEqual(at({ a: '{"b": [1]}' }), { b: [1] });
  assert.deepEqual(at({ a: [{ b: 1 }] }), [{ b: 1 }]);
  assert.deepEqual(at({ "a.b": [1, 2], "a.c": [0.5], "a.d": [{ e: 1 }] }), {
    b: [1, 2],
    c: [0.5],
    d: [{ e: 1 }],
  });
  assert.equal(at({ a: "no JSON", "another.b": 1 }), undefined);
});

test("names of more than 32 segments keep the rest as one", () => {
  let value = at({ [`a${".b".repeat(40)}`]: 1 });
  for (let depth = 0; depth < 31; depth++) value = (value as Record<string, unknown>).b;
  assert.deepEqual(value, { [Array(9).fill("b").join(".")]: 1 });
});
