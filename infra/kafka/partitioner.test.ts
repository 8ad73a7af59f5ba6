import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { murmur2, partitionByKey } from "./partitioner.ts";

// Not through patches.ts: kafkajs' own code is what ours is held against.
const require = createRequire(import.meta.url);
const theirMurmur2: (
  key: Buffer,
) => number = require("kafkajs/src/producer/partitioners/default/murmur2");
const theirPartitioner: Parameters<
  typeof partitionByKey
>[0] = require("kafkajs/src/producer/partitioners/default");

const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
const keys = fc.oneof(bytes, fc.string({ unit: "binary", maxLength: 5 }));

test("a key has the hash that kafkajs and Java's clients give it", () => {
  fc.assert(fc.property(bytes, (key) => assert.equal(murmur2(key), theirMurmur2(key))));
});

test("messages go to the partitions that kafkajs chooses, also when a key comes again", () => {
  const places = fc.array(fc.record({ key: keys, topics: fc.integer({ min: 1, max: 64 }) }));
  fc.assert(
    fc.property(places, (messages) => {
      const [ours, theirs] = [partitionByKey(theirPartitioner)(), theirPartitioner()];
      for (const { key, topics } of messages) {
        const partitionMetadata = Array.from({ length: topics }, (_, i) => ({
          partitionId: i,
          leader: 0,
        }));
        const choosing = { topic: "spans", partitionMetadata, message: { key } };
        assert.equal(ours(choosing), theirs(choosing));
        const said = { ...choosing, message: { key, partition: 3 } };
        assert.equal(ours(said), 3);
      }
    }),
  );
});

test("messages without a key take turns on the partitions that have a leader", () => {
  const partitionMetadata = [0, 1, 2, 3].map((partitionId) => ({
    partitionId,
    leader: partitionId === 2 ? -1 : 0,
  }));
  const choose = partitionByKey(theirPartitioner)();
  const choosing = { topic: "spans", partitionMetadata, message: { key: null } };
  const chosen = Array.from({ length: 6 }, () => choose(choosing));
  assert.deepEqual([...chosen].sort(), [0, 0, 1, 1, 3, 3]);
});
