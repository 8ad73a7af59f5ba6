import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LightningError } from "../../schemas/errors.ts";
import { checked, flatten, sanitise, unflatten, unflattenBelow, withPrefix } from "./flatten.ts";

const isInvalid = (error: unknown): boolean =>
  error instanceof LightningError && error.code === "request-invalid";

test("nested data becomes dotted paths, empty containers vanish and null stays", () => {
  const flat = flatten({ a: { b: 1, c: null }, empty: {}, none: [], deep: [{ x: 1 }, { x: 2 }] });
  assert.deepEqual(flat, { "a.b": 1, "a.c": null, "deep.0.x": 1, "deep.1.x": 2 });
});

test("a list of one primitive type stays a list below the root only", () => {
  assert.deepEqual(flatten({ a: [1, 2.5], b: ["x"], c: [true] }), {
    a: [1, 2.5],
    b: ["x"],
    c: [true],
  });
  assert.deepEqual(flatten([1, 2]), { "0": 1, "1": 2 });
  assert.deepEqual(flatten({ mixed: [1, "a", true] }), {
    "mixed.0": 1,
    "mixed.1": "a",
    "mixed.2": true,
  });
  assert.deepEqual(flatten({ a: [1, 2] }, { expandLists: true }), { "a.0": 1, "a.1": 2 });
});

test("a cycle ends in a text and a Map key that is no text is refused", () => {
  const circle: Record<string, unknown> = { n: 1 };
  circle.self = circle;
  assert.deepEqual(flatten(circle), { n: 1, self: "[Circular]" });
  const twice = { n: 1 };
  assert.deepEqual(flatten({ a: twice, b: twice }), { "a.n": 1, "b.n": 1 });
  assert.throws(() => flatten({ m: new Map([[1, 2]]) }), isInvalid);
});

test("paths become trees: lists for 0 to n-1, later keys win over values in their way", () => {
  assert.deepEqual(unflatten({ "a.1": "y", "a.0": "x", "b.0": 1, "b.2": 2 }), {
    a: ["x", "y"],
    b: { "0": 1, "2": 2 },
  });
  assert.deepEqual(unflatten({ a: 1, "a.b": 2 }), { a: { b: 2 } });
  assert.deepEqual(unflatten({}), {});
});

test("no key reaches a prototype", () => {
  const tree = unflatten({ "__proto__.polluted": true });
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.deepEqual(Object.keys(tree as object), ["__proto__"]);
});

test("a prefix keeps itself and what is below it, and must not have a value to be a tree", () => {
  const flat = { "r.0.name": "a", r: 1, rx: 2 };
  assert.deepEqual(withPrefix(flat, "r"), { "r.0.name": "a", r: 1 });
  assert.throws(() => unflattenBelow(flat, "r"), isInvalid);
  assert.deepEqual(unflattenBelow({ "r.0.name": "a" }, "r"), [{ name: "a" }]);
});

test("sanitising keeps what OpenTelemetry takes and writes the rest as JSON", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  assert.deepEqual(
    sanitise({ n: null, l: [1, true], m: [1, "a"], d: new Date(0), s: new Set([1]), x: 1n }),
    { n: "null", l: [1, 1], m: '[1,"a"]', d: '"1970-01-01T00:00:00.000Z"', s: "[1]", x: "1" },
  );
  assert.equal(typeof sanitise({ circle }).circle, "string");
});

test("the strict check names the key of what cannot be kept as it is", () => {
  for (const value of [null, new Set([1]), new Date(0), undefined, [1, "a"]]) {
    assert.throws(
      () => checked("emitAnnotation", { "where.it": value }),
      (error) => isInvalid(error) && /where\.it/.test(String(error)),
    );
  }
  assert.deepEqual(checked("x", { a: 1, b: ["x"], c: true }), { a: 1, b: ["x"], c: true });
});

const key = fc.string({ minLength: 1, maxLength: 6 }).filter((k) => !/[.]|^\d+$/.test(k));
const leaf = fc.oneof(
  fc.string(),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.string(), { minLength: 1 }),
  fc.array(fc.integer(), { minLength: 1 }),
);
const tree = fc.letrec<{ node: unknown; object: Record<string, unknown> }>((tie) => ({
  object: fc.dictionary(key, tie("node"), { minKeys: 1, maxKeys: 4, noNullPrototype: true }),
  node: fc.oneof(
    { maxDepth: 3 },
    leaf,
    tie("object"),
    fc.array(tie("object"), { minLength: 1, maxLength: 3 }),
  ),
})).object;

test("unflatten undoes flatten for data without dots in keys and empty containers", () => {
  fc.assert(
    fc.property(tree, (data) => {
      assert.deepEqual(unflatten(flatten(data)), data);
    }),
    { numRuns: 300 },
  );
});

test("flatten and sanitise never throw into an agent, whatever it emits", () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withDate: true, withSet: true }), (data) => {
      for (const value of Object.values(sanitise(flatten({ data })))) {
        assert.ok(["string", "number", "boolean", "object"].includes(typeof value));
      }
    }),
    { numRuns: 300 },
  );
});
