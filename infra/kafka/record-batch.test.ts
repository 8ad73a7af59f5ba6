import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import { type BatchRecord, encodeBatch, encodeRecords } from "./record-batch.ts";
import { decodeRecordSet, type RawMessage } from "./record-set.ts";

// Not through patches.ts: kafkajs' own code is what ours is held against.
const require = createRequire(import.meta.url);
const { RecordBatch } = require("kafkajs/src/protocol/recordBatch/v0");
const theirRecord = require("kafkajs/src/protocol/recordBatch/record/v0");
const theirDecode = require("kafkajs/src/protocol/requests/fetch/v4/decodeMessages");
const TheirDecoder = require("kafkajs/src/protocol/decoder");
const theirCrc = require("kafkajs/src/protocol/recordBatch/crc32C");

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
// kafkajs' decoder takes what every object has, such as `constructor`, for a header it has read before.
const headerName = fc.string({ minLength: 1 }).filter((name) => !(name in {}));
const records = fc
  .array(
    fc.record({
      key: fc.oneof(bytes, fc.string({ unit: "binary" }), fc.constant(null)),
      value: fc.oneof(bytes, fc.constant(null)),
      headers: fc.dictionary(headerName, bytes, { maxKeys: 3 }),
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

test("a set of batches is read as kafkajs' own decoder reads it, cut off or not", async () => {
  const head = { firstTimestamp: 1_700_000_000_000, maxTimestamp: 1_700_000_000_500 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(records, { maxLength: 3 }),
      fc.nat(63),
      fc.nat(),
      async (lists, b, n) => {
        const attributes = b & 0b111000;
        const batches = lists.map((list, i) => {
          const batch = encodeBatch(
            {
              ...head,
              attributes,
              producerId: 7n,
              producerEpoch: 1,
              firstSequence: 0,
              records: list.length,
            },
            encodeRecords(list),
          );
          batch.writeBigInt64BE(BigInt(i * 1000), 0);
          return batch;
        });
        const whole = Buffer.concat(batches);
        const set = n % 2 === 0 ? whole : whole.subarray(0, 17 + (n % (whole.length + 1)));
        const size = Buffer.alloc(4);
        size.writeInt32BE(set.length);
        const theirs = await theirDecode(new TheirDecoder(Buffer.concat([size, set])));
        const ours = await decodeRecordSet(set, () => null);
        assert.deepEqual(ours, theirs.map(asOurs));
      },
    ),
  );
});

type Theirs = RawMessage & { readonly headers: Record<string, Buffer> };

function asOurs({ offset, timestamp, key, value, headers, isControlRecord, batchContext }: Theirs) {
  const { producerId, inTransaction } = batchContext;
  return {
    offset: Number(offset),
    timestamp: Number(timestamp),
    key,
    value,
    headers: { ...headers },
    isControlRecord,
    batchContext: { producerId, inTransaction },
  };
}

test("the checksum is CRC-32C from any index on", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  fc.assert(
    fc.property(bytes, fc.nat(300), (data, n) => {
      const from = Math.min(n, data.length);
      assert.equal(crc32c(data, from), theirCrc(data.subarray(from)));
    }),
  );
});
