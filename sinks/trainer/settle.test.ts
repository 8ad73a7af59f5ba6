import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { give, leaseRequest, refuses, returned, withGroups } from "./fixtures.ts";
import { lease } from "./leases.ts";
import { defaultLedgerSettings, lowWatermark, take } from "./ledger.ts";
import { ack, expire, extend, nack, nextExpiry } from "./settle.ts";

const settings = defaultLedgerSettings;
const done = { now: 2000, metrics: { loss: 0.5 }, updated: null };

describe("an acknowledgement", () => {
  test("repeated gives the first answer and writes nothing", async () => {
    const partition = await withGroups([2]);
    const { batch } = give(partition);
    const first = ack(partition.ledger, batch.lease_id, done);
    take(partition.ledger);
    const again = ack(partition.ledger, batch.lease_id, { ...done, now: 9, metrics: { loss: 7 } });
    assert.deepEqual(again, first);
    assert.deepEqual(take(partition.ledger).records, []);
  });

  test("counts after the lease ended while nobody else has the groups", async () => {
    const partition = await withGroups([2]);
    const { batch } = give(partition);
    assert.equal(expire(partition.ledger, 11_000), 1);
    assert.equal(ack(partition.ledger, batch.lease_id, done).transitions, 2);
    assert.equal(lease(partition.ledger, leaseRequest()), null, "a trained group was given out");
  });

  test("is refused once the groups were given out again; the new lease stands", async () => {
    const partition = await withGroups([2]);
    const { batch } = give(partition);
    expire(partition.ledger, 11_000);
    const second = give(partition, { now: 11_000 });
    assert.equal(second.batch.delivery, 2);
    refuses("conflict", () => ack(partition.ledger, batch.lease_id, done));
    assert.equal(ack(partition.ledger, second.batch.lease_id, done).delivery, 2);
    refuses("conflict", () => ack(partition.ledger, batch.lease_id, done));
  });

  test("after a restart gives the first answer", async () => {
    const partition = await withGroups([2]);
    const { batch } = give(partition);
    const first = ack(partition.ledger, batch.lease_id, done);
    partition.store(take(partition.ledger));
    partition.crash();
    assert.deepEqual({ ...ack(partition.ledger, batch.lease_id, done) }, { ...first });
  });

  test("counts after a restart before the rows were read again", async () => {
    const partition = await withGroups([2, 1]);
    const { batch } = give(partition, { maxSamples: 2 });
    partition.store(take(partition.ledger));
    partition.crash();
    ack(partition.ledger, batch.lease_id, done);
    partition.store(take(partition.ledger));
    partition.feed();
    assert.deepEqual(give(partition).batch.groups, ["g1"]);
  });

  test("in any order moves the offset only past what is done", async () => {
    const partition = await withGroups([1, 1]);
    const first = give(partition, { maxSamples: 1 });
    const second = give(partition, { maxSamples: 1 });
    ack(partition.ledger, second.batch.lease_id, done);
    partition.store(take(partition.ledger));
    assert.equal(partition.committed, 0);
    partition.crash();
    partition.feed();
    assert.equal(lease(partition.ledger, leaseRequest()), null, "a trained group came back");
    ack(partition.ledger, first.batch.lease_id, done);
    partition.store(take(partition.ledger));
    assert.equal(partition.committed, 4);
  });

  test("of a lease nobody knows is refused", async () => {
    const partition = await withGroups([]);
    refuses("not-found", () => ack(partition.ledger, "3-0-1", done));
  });
});

describe("a lease that ends without an acknowledgement", () => {
  test("gives its groups back with the next delivery number", async () => {
    const partition = await withGroups([1, 1]);
    const { batch } = give(partition, { maxSamples: 1 });
    nack(partition.ledger, batch.lease_id, { now: 1500, detail: "out of memory" });
    const again = give(partition);
    assert.deepEqual(again.batch.groups, ["g0", "g1"]);
    assert.equal(again.batch.delivery, 2);
    assert.deepEqual(returned(partition), ["g0 refused"]);
    refuses("conflict", () => ack(partition.ledger, batch.lease_id, done));
  });

  test("lives until its time and not longer; extending moves the time", async () => {
    const partition = await withGroups([1]);
    const { batch } = give(partition);
    assert.equal(nextExpiry(partition.ledger), 11_000);
    extend(partition.ledger, batch.lease_id, { now: 5000, leaseSeconds: 10 });
    assert.equal(expire(partition.ledger, 14_999), 0);
    assert.equal(expire(partition.ledger, 15_000), 1);
    refuses("conflict", () =>
      extend(partition.ledger, batch.lease_id, { now: 15_001, leaseSeconds: 1 }),
    );
  });

  test("survives a restart: its groups are not given out before it ends", async () => {
    const partition = await withGroups([1]);
    give(partition);
    partition.store(take(partition.ledger));
    partition.crash();
    partition.feed();
    assert.equal(lease(partition.ledger, leaseRequest()), null);
    expire(partition.ledger, 11_000);
    assert.equal(give(partition, { now: 11_000 }).batch.delivery, 2);
  });

  test("too often leaves its groups out, so that a poisonous one stops nobody", async () => {
    const partition = await withGroups([1], { ...settings, maxDeliveries: 2 });
    for (const now of [0, 1])
      nack(partition.ledger, give(partition, { now }).batch.lease_id, { now, detail: "" });
    assert.equal(lease(partition.ledger, leaseRequest()), null);
    assert.ok(returned(partition).includes("g0 exhausted"));
    assert.equal(lowWatermark(partition.ledger), partition.ledger.position);
  });
});
