import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { packFloat32 } from "../../schemas/bytes.ts";
import { drivePartition } from "./drive.ts";
import {
  give,
  group,
  groupClosed,
  leaseRequest,
  refuses,
  returned,
  transition,
  withGroups,
} from "./fixtures.ts";
import { record } from "./groups.ts";
import { lease } from "./leases.ts";
import { defaultLedgerSettings, isFull, lowWatermark, rowsOfGroup, take } from "./ledger.ts";
import { ack } from "./settle.ts";

const settings = defaultLedgerSettings;
const done = { now: 2000, metrics: { loss: 0.5 }, updated: null };

describe("a group", () => {
  test("without rows is done at once", async () => {
    const partition = await withGroups([0]);
    assert.deepEqual(returned(partition), ["g0 empty"]);
    assert.equal(lowWatermark(partition.ledger), 1);
  });

  test("with rows missing is left out, and says so", async () => {
    const partition = await drivePartition();
    partition.append([transition(), groupClosed({ transitions: 2 })]);
    partition.feed();
    assert.deepEqual(returned(partition), ["g0 incomplete"]);
  });

  test("of a mode that is not trained blocks nobody", async () => {
    const partition = await drivePartition();
    partition.append(group("v", 2, { mode: "val" }));
    partition.feed();
    assert.deepEqual(returned(partition), ["v mode"]);
  });

  test("revised before it was given out is trained in its last form", async () => {
    const partition = await drivePartition();
    partition.append(group("g", 1, {}, { advantage: 1 }));
    partition.append(group("g", 1, { revision: 1 }, { advantage: 2 }));
    partition.feed();
    const { groups } = give(partition);
    assert.deepEqual(
      groups.map((one) => rowsOfGroup(one.group)[0]?.advantage),
      [2],
    );
    assert.deepEqual(returned(partition), ["g superseded"]);
  });

  test("revised after it was given out is trained once, in its first form", async () => {
    const partition = await drivePartition();
    partition.append(group("g", 1));
    partition.feed();
    const { batch } = give(partition);
    partition.append(group("g", 1, { revision: 1 }));
    partition.feed();
    ack(partition.ledger, batch.lease_id, done);
    assert.equal(lease(partition.ledger, leaseRequest()), null);
  });

  test("revised from none to some rows is trained, since nobody was given any", async () => {
    const partition = await drivePartition();
    partition.append(group("g", 0));
    partition.feed();
    partition.append(group("g", 2, { revision: 1, replaces: 0 }));
    partition.feed();
    assert.equal(give(partition).batch.transitions, 2);
    partition.append(group("g", 2, { revision: 2, replaces: 2 }));
    partition.feed();
    assert.equal(lease(partition.ledger, leaseRequest()), null);
  });

  test("of an id that closes twice is two groups", async () => {
    const partition = await drivePartition();
    partition.append(group("g", 1));
    partition.append(group("g", 2));
    partition.feed();
    assert.equal(give(partition).batch.transitions, 3);
  });
});

describe("a row", () => {
  test("whose arrays do not fit together is refused by name", async () => {
    const partition = await drivePartition();
    partition.append([transition({ logprobs: packFloat32([1]) })]);
    partition.append([transition({ advantage: Number.NaN })]);
    const [first, second] = partition.log;
    assert.ok(first && second);
    assert.throws(
      () => record(partition.ledger, first),
      /logprobs: read 4 bytes, allowed is 0 or 8/,
    );
    assert.throws(() => record(partition.ledger, second), /advantage: read NaN/);
    assert.equal(partition.ledger.position, 2, "a refused row is passed");
  });

  test("read twice is refused, not counted twice", async () => {
    const partition = await withGroups([1]);
    const [first] = partition.log;
    assert.ok(first);
    refuses("offset-unexpected", () => record(partition.ledger, first));
  });
});

describe("memory", () => {
  const small = { ...settings, maxBytes: 4000 };

  test("held is counted and freed to nothing", async () => {
    const partition = await withGroups([5, 5], small);
    assert.ok(isFull(partition.ledger));
    const { batch, groups } = give(partition);
    for (const { group } of groups) {
      assert.equal(group.packed.buffer.byteLength, group.packed.length, "a piece of a larger one");
    }
    take(partition.ledger);
    assert.ok(isFull(partition.ledger), "leased rows count: they may come back");
    ack(partition.ledger, batch.lease_id, done);
    take(partition.ledger);
    assert.equal(partition.ledger.bytes, 0);
  });

  test("never makes one wait for rows that cannot come", async () => {
    const partition = await withGroups([5, 5], small);
    assert.equal(give(partition, { minSamples: 100 }).batch.transitions, 10);
  });

  test("is never full of groups that only reading on can close", async () => {
    const partition = await drivePartition(0, small);
    partition.append(group("g", 20).slice(0, 20));
    partition.feed();
    assert.ok(partition.ledger.bytes > small.maxBytes);
    assert.ok(!isFull(partition.ledger));
  });
});
