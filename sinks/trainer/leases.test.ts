import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { drivePartition } from "./drive.ts";
import {
  give,
  group,
  groupClosed,
  leaseRequest,
  returned,
  transition,
  withGroups,
} from "./fixtures.ts";
import { lease } from "./leases.ts";
import { defaultLedgerSettings, lowWatermark } from "./ledger.ts";
import { ack } from "./settle.ts";

const settings = defaultLedgerSettings;
const done = { now: 2000, metrics: { loss: 0.5 }, updated: null };

describe("a lease", () => {
  test("has whole groups, oldest first, within its rows", async () => {
    const partition = await withGroups([2, 3, 2]);
    assert.deepEqual(give(partition, { maxSamples: 6 }).batch.groups, ["g0", "g1"]);
    assert.deepEqual(give(partition, { maxSamples: 6 }).batch.groups, ["g2"]);
    assert.equal(lease(partition.ledger, leaseRequest()), null);
  });

  test("counts state and action tokens against max_tokens", async () => {
    const partition = await withGroups([2, 2, 2]);
    const { batch } = give(partition, { maxTokens: 20 });
    assert.deepEqual([batch.groups, batch.tokens], [["g0", "g1"], 20]);
  });

  test("gives a group larger than the limit alone", async () => {
    const partition = await withGroups([1, 9, 1]);
    assert.deepEqual(give(partition, { maxSamples: 4 }).batch.groups, ["g0"]);
    assert.deepEqual(give(partition, { maxSamples: 4 }).batch.groups, ["g1"]);
    assert.deepEqual(give(partition, { maxSamples: 4 }).batch.groups, ["g2"]);
  });

  test("never has rows of a group that is not closed", async () => {
    const partition = await drivePartition();
    partition.append([transition()]);
    partition.feed();
    assert.equal(lease(partition.ledger, leaseRequest()), null);
    partition.append([groupClosed()]);
    partition.feed();
    assert.equal(give(partition).batch.transitions, 1);
  });

  test("waits for min_samples unless no more would fit", async () => {
    const partition = await withGroups([5]);
    const wish = { minSamples: 6, maxSamples: 8 };
    assert.equal(lease(partition.ledger, leaseRequest(wish)), null);
    partition.append(group("g1", 5));
    partition.feed();
    assert.deepEqual(give(partition, wish).batch.groups, ["g0"]);
  });

  test("is of one project and mode; a group without a mode is for training", async () => {
    const partition = await drivePartition(0, { ...settings, modes: ["train", "val"] });
    partition.append(group("a", 1, { mode: "val" }));
    partition.append(group("b", 1, { project: "other" }));
    partition.append(group("c", 1, { mode: null }));
    partition.feed();
    assert.deepEqual(give(partition).batch.groups, ["c"]);
    assert.deepEqual(give(partition, { mode: "val" }).batch.groups, ["a"]);
    assert.deepEqual(give(partition, { project: "other" }).batch.groups, ["b"]);
  });

  test("says the version it was leased at and how far its oldest group is behind", async () => {
    const partition = await drivePartition();
    partition.append(group("a", 1, { min_policy_version: 4 }));
    partition.append(group("b", 1, { min_policy_version: 7 }));
    partition.feed();
    const { batch } = give(partition, { newestVersion: () => 9 });
    assert.deepEqual([batch.policy_version, batch.max_staleness], [9, 5]);
  });

  test("leaves groups out that are too many versions behind, and says so", async () => {
    const partition = await drivePartition();
    partition.append(group("old", 1, { min_policy_version: 1 }));
    partition.append(group("new", 1, { min_policy_version: 3 }));
    partition.append(group("unknown", 1));
    partition.feed();
    const { batch } = give(partition, { maxStaleness: 2, newestVersion: () => 4 });
    assert.deepEqual(batch.groups, ["new", "unknown"]);
    assert.deepEqual(returned(partition), ["old stale"]);
    ack(partition.ledger, batch.lease_id, done);
    assert.equal(lowWatermark(partition.ledger), partition.ledger.position, "stale groups block");
  });

  test("measures staleness against the resource set the group ran with", async () => {
    const partition = await drivePartition();
    partition.append(group("a", 1, { min_policy_version: 1, resources_id: "A" }));
    partition.append(group("b", 1, { min_policy_version: 1, resources_id: "B" }));
    partition.feed();
    const newestVersion = (id: string | null): number => (id === "A" ? 1 : 9);
    assert.deepEqual(give(partition, { maxStaleness: 2, newestVersion }).batch.groups, ["a"]);
  });

  test("withholds groups of equal rewards only when asked to", async () => {
    const partition = await drivePartition();
    for (const id of ["a", "b"]) partition.append(group(id, 1, { equal_rewards: true }));
    partition.feed();
    assert.deepEqual(give(partition, { maxSamples: 1 }).batch.groups, ["a"]);
    assert.equal(lease(partition.ledger, leaseRequest({ equalRewards: "withhold" })), null);
    assert.deepEqual(returned(partition), ["b equal-rewards"]);
  });
});
