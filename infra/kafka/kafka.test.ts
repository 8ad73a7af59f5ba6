import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { type Assigned, assignSticky } from "./group.ts";
import { kafkajs } from "./patches.ts";
import { committed } from "./reader.ts";
import type { RawMessage } from "./record-set.ts";
import { inRequests } from "./transaction.ts";

const require = createRequire(import.meta.url);

function message(offset: number, producerId: string, control?: "abort" | "commit"): RawMessage {
  const key = Buffer.from([0, 0, 0, control === "commit" ? 1 : 0]);
  return {
    offset,
    timestamp: 0,
    key: control === undefined ? Buffer.from("k") : key,
    value: null,
    headers: {},
    isControlRecord: control !== undefined,
    batchContext: { producerId, inTransaction: true },
  };
}

test("records of aborted transactions that began before the fetch are left out", () => {
  // Two transactions are open at offset 10 and both abort; a third commits.
  const messages = [
    message(10, "b"),
    message(11, "a"),
    message(12, "c"),
    message(13, "a", "abort"),
    message(14, "b", "abort"),
    message(15, "c", "commit"),
    message(16, "a"),
  ];
  const aborted = [
    { producerId: "b", firstOffset: "7" },
    { producerId: "a", firstOffset: "5" },
  ];
  assert.deepEqual(
    committed(messages, aborted).map((m) => m.offset),
    [12, 16],
  );
});

test("a producer's committed transaction after an aborted one is kept", () => {
  const messages = [
    message(1, "a"),
    message(2, "a", "abort"),
    message(3, "a"),
    message(4, "a", "commit"),
  ];
  const aborted = [{ producerId: "a", firstOffset: "1" }];
  assert.deepEqual(
    committed(messages, aborted).map((m) => m.offset),
    [3],
  );
});

test("every partition goes to one member, shares are even and few partitions move", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      (partitions, before, after) => {
        const all: Assigned[] = Array.from({ length: partitions }, (_, partition) => ({
          topic: "t",
          partition,
        }));
        const members = (n: number) => Array.from({ length: n }, (_, i) => `m${i}`);
        const first = assignSticky(all, new Map(members(before).map((m) => [m, {}])));
        const owned = new Map(
          members(after).map((m) => [m, { t: (first.get(m) ?? []).map((p) => p.partition) }]),
        );
        const second = assignSticky(all, owned);
        const given = [...second.values()].flat().map((p) => p.partition);
        assert.deepEqual(
          given.sort((a, b) => a - b),
          all.map((p) => p.partition),
        );
        const sizes = [...second.values()].map((s) => s.length);
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
        if (before !== after) return;
        for (const m of members(after)) assert.deepEqual(second.get(m), first.get(m));
      },
    ),
  );
});

test("an idle connection arms no timer", () => {
  const RequestQueue = require("kafkajs/src/network/requestQueue");
  const queue = new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1,
    enforceRequestTimeout: false,
    clientId: "t",
    broker: "b",
    logger: { debug: () => undefined },
  });
  queue.scheduleCheckPendingRequests();
  assert.equal(queue.throttleCheckTimeoutId, null);
});

for (const name of ["Snappy", "LZ4"] as const) {
  test(`${name} gives back what it was given`, async () => {
    const codec = kafkajs.CompressionCodecs[kafkajs.CompressionTypes[name]]();
    const buffer = Buffer.from("span ".repeat(10_000));
    const packed = await codec.compress({ buffer });
    assert.ok(packed.length < buffer.length / 2);
    assert.deepEqual(await codec.decompress(packed), buffer);
  });
}

test("requests stay below the size of a record batch and keep the order", () => {
  const records = Array.from({ length: 50 }, (_, i) => ({
    topic: "t",
    key: String(i),
    value: Buffer.alloc(1_000_000),
  }));
  const parts = [...inRequests(records)];
  for (const part of parts) assert.ok(part.length * 1_000_000 <= 8.2 * 1024 * 1024);
  assert.deepEqual(parts.flat(), records);
});
