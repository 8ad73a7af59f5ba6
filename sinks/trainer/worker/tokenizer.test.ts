import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeText, encodeText } from "./tokenizer.ts";
import { byteOf, kindOf, vocabularySize } from "./vocabulary.ts";

const someText = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc
    .array(
      fc.constantFrom(
        "room",
        "4",
        "10:00",
        ",",
        ".",
        "(",
        ")",
        " ",
        "  ",
        "\n",
        "\t",
        "é",
        "Zanzibar",
      ),
    )
    .map((parts) => parts.join("")),
);

test("any text comes back from its tokens", () => {
  fc.assert(
    fc.property(someText, (text) => {
      assert.equal(decodeText(encodeText(text)), text);
    }),
  );
});

test("no text yields a structure token, whatever it says", () => {
  const marks = fc.constantFrom("<user>", "<tool>", "<end>", "<call>");
  fc.assert(
    fc.property(fc.array(fc.oneof(marks, someText)), (parts) => {
      const ids = encodeText(parts.join(""));
      assert.ok(ids.every((id) => id < vocabularySize && kindOf(id) !== "mark"));
    }),
  );
});

test("what the model knows is one token each, what it does not is spelt in bytes", () => {
  assert.equal(encodeText("Find a room for 4 people at 10:00.").length, 9);
  const spelt = encodeText("Zürich");
  assert.deepEqual(spelt.map(byteOf), [...Buffer.from("Zürich")]);
});
