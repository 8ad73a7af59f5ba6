import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pythonLiteral } from "./python-literal.ts";

for (const [text, value] of [
  ["[1, 2, -3]", [1, 2, -3]],
  ["[1, 2.5e1, .5, 3., True, None,]", [1, 25, 0.5, 3, true, null]],
  ["(1, 'a')", [1, "a"]],
  ["(1,)", [1]],
  ["( 1 )", 1],
  ["()", []],
  ["{1, 2}", [1, 2]],
  ["{}", {}],
  ["{'a': {'b': (1, [2])}, \"c\": None,}", { a: { b: [1, [2]] }, c: null }],
  ["{1: 'x', None: 'y'}", { 1: "x", null: "y" }],
  [String.raw`'it\'s \x41\u00e9\U0001F600\n\101\q'`, "it's Aé😀\nA\\q"],
  [`"it's"`, "it's"],
  ["b'raw'", "raw"],
  [" False ", false],
] as const) {
  test(`${text} is read as Python reads it`, () => {
    assert.deepEqual(pythonLiteral(text), value);
  });
}

for (const text of [
  "",
  "true",
  "[1 2]",
  "[1,,2]",
  "[,]",
  "{'a': }",
  "{'a': 1, 2}",
  "'open",
  "'\\u12'",
  "1; 2",
  "print(1)",
  "__import__('os')",
  "[1] + [2]",
  "'\n'",
]) {
  test(`${JSON.stringify(text)} is no literal`, () => {
    assert.equal(pythonLiteral(text), undefined);
  });
}

/** How Python writes a value that JSON can write. */
function repr(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string")
    return `'${JSON.stringify(value).slice(1, -1).replace(/'/g, "\\'")}'`;
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (typeof value !== "object") return String(value);
  return `{${Object.entries(value)
    .map(([name, item]) => `${repr(name)}: ${repr(item)}`)
    .join(", ")}}`;
}

test("what Python writes comes back", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const written = JSON.parse(JSON.stringify(value)) as unknown;
      assert.deepEqual(pythonLiteral(repr(written)), written);
    }),
  );
});

test("any text is read or refused, in time that grows with its length", () => {
  const marks = fc.constantFrom("[", "]", "(", ")", "{", "}", ",", ":", "'", "\\", "1", " ", "-");
  const text = fc.oneof(
    fc.string(),
    fc.array(marks, { maxLength: 60 }).map((all) => all.join("")),
  );
  fc.assert(fc.property(text, (any) => void pythonLiteral(any)));
  for (const mark of ["[", "{", "(", "{{'", "[1,", "{'a':", "'\\", "( "]) {
    const started = performance.now();
    pythonLiteral(mark.repeat(200_000));
    const took = performance.now() - started;
    assert.ok(took < 1000, `${mark} took ${took} ms`);
  }
});

test("nesting deeper than 64 is refused", () => {
  assert.notEqual(pythonLiteral(`${"[".repeat(60)}${"]".repeat(60)}`), undefined);
  assert.equal(pythonLiteral(`${"[".repeat(70)}${"]".repeat(70)}`), undefined);
});
