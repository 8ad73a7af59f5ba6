import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DeadLettered } from "../../schemas/types.ts";
import { summarise } from "./dead-letters.ts";
import type { Letter } from "./letters.ts";
import { asText, describeLetter, hexHead, letterAsJson, plain } from "./show-letter.ts";

const letter: DeadLettered = {
  reader: "clickhouse",
  topic: "spans",
  partition: 2,
  offset: 88,
  timestamp: 1_700_000_000_000_000,
  key: Buffer.from("default/ro-1"),
  value: Buffer.from([7, 0x1b, 0x41]),
  headers: { trace: Buffer.from("x\u001b") },
  code: "record-malformed",
  reason: "first byte is 7, must be 0",
  at: 1_700_000_001_000_000,
};
const found: Letter = { offset: 3, timestamp: 1_700_000_002_000, letter, bytes: Buffer.alloc(0) };

describe("a dead letter", () => {
  test("is shown with where it is from, why it was refused, and its bytes", () => {
    const text = describeLetter(found, null);
    for (const part of [
      "offset 3: record-malformed",
      "first byte is 7, must be 0",
      "spans/2 offset 88",
      "default/ro-1",
      "trace=x\\x1b",
      "07 1b 41",
    ]) {
      assert.ok(text.includes(part), part);
    }
    assert.ok(!text.includes("\u001b"));
  });

  test("is shown decoded where its bytes are a record", () => {
    const record = { type: "TimerSet", value: { wake_at: 5 } } as never;
    assert.match(describeLetter(found, record), /3 bytes, TimerSet\n {2}\{\n {4}"wake_at": 5/);
  });

  test("keeps its exact bytes in JSON", () => {
    const json = JSON.parse(JSON.stringify(letterAsJson("clickhouse", found, null)));
    assert.deepEqual(Buffer.from(json.value_base64, "base64"), letter.value);
    assert.deepEqual(json.source.offset, 88);
    const none = { ...found, letter: null, bytes: Buffer.from("?") };
    assert.deepEqual(letterAsJson("trainer", none, null), {
      reader: "trainer",
      offset: 3,
      bytes_base64: "Pw==",
    });
  });

  test("is counted by its code, and what is none is told apart", async () => {
    async function* letters(): AsyncGenerator<Letter> {
      yield found;
      yield { ...found, offset: 5 };
      yield { ...found, offset: 9, letter: null };
    }
    assert.deepEqual(await summarise("clickhouse", letters()), {
      reader: "clickhouse",
      letters: 3,
      first_offset: 3,
      last_offset: 9,
      newest: "2023-11-14T22:13:22.000Z",
      codes: { "record-malformed": 2, "not a dead letter": 1 },
    });
  });
});

test("what JSON cannot say is told in words", () => {
  const value = { a: Number.NaN, b: 3n, c: Buffer.alloc(40, 1), d: [Buffer.alloc(0)], e: null };
  assert.deepEqual(plain(value), {
    a: "NaN",
    b: "3",
    c: `<40 bytes: ${"01".repeat(32)}…>`,
    d: ["<0 bytes>"],
    e: null,
  });
});

test("bytes that are no text are shown as hex, and long ones by their head", () => {
  assert.equal(asText(Buffer.from([0xff, 0xfe])), "<2 bytes: fffe>");
  assert.match(hexHead(Buffer.alloc(200)), /… 104 bytes more$/);
});
