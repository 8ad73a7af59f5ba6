import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import { type BatchRecord, encodeBatch, encodeRecords } from "./record-batch.ts";

// Not through patches.ts: kafkajs' own code is what ours is held against.
const require = createRequire(import.meta.url);
const { RecordBatch } = require("kafkajs/src/protocol/recordBatch/v0");
const theirRecord = require("kafkajs/src/protocol/recordBatch/record/v0");
const theirCrc = require("kafkajs/src/protocol/recordBatch/crc32C");

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const records = fc
  .array(
    fc.record({
      key: fc.oneof(bytes, fc.string({ unit: "binary" }), fc.constant(null)),
      value: fc.oneof(bytes, fc.constant(null)),
      headers: fc.dictionary(fc.string({ minLength: 1 }), bytes, { maxKeys: 3 }),
      timestampDelta: fc.nat(100_000),
    }),
    { minLength: 1, maxLength: 200 },
  )
  .map((list) => list.map((record, offsetDelta): BatchRecord => ({ ...record, offsetDelta })));

test("a batch has the bytes that kafkajs' own encoder gives it", async () => {
  await fc.assert(
    fc.asyncProperty(records, fc.boolean(), fc.nat(2 ** 31 - 1), async (list, transactional, n) => {
      const head = {
        firstTimestamp: 1_700_000_000_000 + n,
        maxTimestamp: 1_700_000_000_000 + n,
        producerEpoch: n % 32_768,
        firstSequence: n,
      };
      const theirs = await RecordBatch({
        ...head,
        producerId: String(n),
        transactional,
        lastOffsetDelta: list.length - 1,
        records: list.map(theirRecord),
      });
      const attributes = transactional ? 16 : 0;
      const ours = encodeBatch(
        { ...head, attributes, producerId: BigInt(n), records: list.length },
        encodeRecords(list),
      );
      assert.ok(theirs.buffer.equals(ours));
    }),
  );
});

test("the checksum is CRC-32C from any index on", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  fc.assert(
    fc.property(bytes, fc.nat(300), (data, n) => {
      const from = Math.min(n, data.length);
      assert.equal(crc32c(data, from), theirCrc(data.subarray(from)));
    }),
  );
});
