import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Tagged } from "../../schemas/records.ts";
import { type DrivenPartition, drivePartition } from "./drive.ts";
import { give, groupClosed, leaseRequest, returned, transition } from "./fixtures.ts";
import { lease } from "./leases.ts";
import { lowWatermark, take } from "./ledger.ts";
import { ack, expire } from "./settle.ts";

const done = { now: 2000, metrics: {}, updated: null };

/** A whole group with one row for each policy named. */
function routed(groupId: string, policies: readonly string[], revision = 0): Tagged[] {
  const rows = policies.map((policy, step_index) =>
    transition({ group_id: groupId, step_index, span_id: `s${step_index}`, policy, revision }),
  );
  return [...rows, groupClosed({ group_id: groupId, transitions: rows.length, revision })];
}

async function partitionOf(...groups: readonly Tagged[][]): Promise<DrivenPartition> {
  const partition = await drivePartition();
  for (const records of groups) partition.append(records);
  partition.feed();
  return partition;
}

describe("a lease of one policy", () => {
  test("has the rows of that policy alone, and the others wait for theirs", async () => {
    const partition = await partitionOf(routed("g", ["writer", "critic", "writer"]));
    const writer = give(partition, { policy: "writer" });
    assert.deepEqual(
      writer.groups.map(({ group }) => group.rows.map(({ step_index }) => step_index)),
      [[0, 2]],
    );
    assert.equal(lease(partition.ledger, leaseRequest({ policy: "writer" })), null);
    const critic = give(partition, { policy: "critic" });
    assert.deepEqual([writer.batch.transitions, critic.batch.transitions], [2, 1]);
    assert.notEqual(writer.batch.lease_id, critic.batch.lease_id);
  });

  test("is acknowledged for itself, and the log is kept until every policy is done", async () => {
    const partition = await partitionOf(routed("g", ["writer", "critic"]));
    ack(partition.ledger, give(partition, { policy: "writer" }).batch.lease_id, done);
    assert.equal(lowWatermark(partition.ledger), 0);
    partition.store(take(partition.ledger));
    partition.crash();
    partition.feed();
    assert.equal(lease(partition.ledger, leaseRequest({ policy: "writer" })), null);
    ack(partition.ledger, give(partition, { policy: "critic" }).batch.lease_id, done);
    assert.equal(lowWatermark(partition.ledger), 3);
  });

  test("named by nobody takes whatever is there, a group's policies side by side", async () => {
    const partition = await partitionOf(routed("g", ["b", "a"]), routed("h", ["", ""]));
    const { batch, groups } = give(partition);
    assert.deepEqual(batch.groups, ["g", "g", "h"]);
    assert.deepEqual(
      groups.map(({ group }) => group.policy),
      ["a", "b", ""],
    );
  });

  test("of the empty name has only what no selection routed", async () => {
    const partition = await partitionOf(routed("g", ["a"]), routed("h", ["", "a"]));
    assert.deepEqual(give(partition, { policy: "" }).batch.groups, ["h"]);
  });

  test("of a group with rows missing is nobody's", async () => {
    const [first, , closing] = routed("g", ["a", "b"]);
    assert.ok(first && closing);
    const partition = await partitionOf([first, closing]);
    assert.equal(lease(partition.ledger, leaseRequest({ policy: "a" })), null);
    assert.deepEqual(returned(partition), ["g incomplete"]);
  });
});

describe("a revision", () => {
  test("replaces what was not given out and leaves what was", async () => {
    const partition = await partitionOf(routed("g", ["a", "b"]));
    const first = give(partition, { policy: "a" });
    partition.append(routed("g", ["a", "b"], 1));
    partition.feed();
    assert.deepEqual(returned(partition), ["g superseded", "g superseded"]);
    const second = give(partition, { policy: "b" });
    assert.equal(second.groups[0]?.group.closed.revision, 1);
    ack(partition.ledger, first.batch.lease_id, done);
    assert.equal(lease(partition.ledger, leaseRequest()), null);
  });

  test("that has nothing for a policy any more takes its earlier rows away", async () => {
    const partition = await partitionOf(routed("g", ["a", "b"]));
    partition.append(routed("g", ["a"], 1));
    partition.feed();
    assert.deepEqual(
      give(partition).groups.map(({ group }) => [group.policy, group.closed.revision]),
      [["a", 1]],
    );
  });

  test("without any row takes the whole group away", async () => {
    const partition = await partitionOf(routed("g", ["a", "b"]));
    partition.append(routed("g", [], 1));
    partition.feed();
    assert.equal(lease(partition.ledger, leaseRequest()), null);
    assert.deepEqual(returned(partition), ["g empty", "g superseded", "g superseded"]);
  });
});

const policies = ["", "critic", "writer"];

type Command =
  | { readonly do: "lease"; readonly policy: string; readonly max: number }
  | { readonly do: "ack"; readonly which: number }
  | { readonly do: "feed"; readonly count: number }
  | { readonly do: "crash" };

const commands: fc.Arbitrary<readonly Command[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant("lease" as const),
      policy: fc.constantFrom(...policies),
      max: fc.integer({ min: 1, max: 5 }),
    }),
    fc.record({ do: fc.constant("ack" as const), which: fc.nat(5) }),
    fc.record({ do: fc.constant("feed" as const), count: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ do: fc.constant("crash" as const) }),
  ),
  { maxLength: 40, size: "max" },
);

/** Group and policy of everything that was acknowledged, each acknowledgement once. */
function play(partition: DrivenPartition, steps: readonly Command[]): string[] {
  const leased = new Map<string, string[]>();
  const trained = new Map<string, string[]>();
  let now = 1000;
  const take1 = (policy: string, maxSamples: number): string | null => {
    const given = lease(partition.ledger, leaseRequest({ now, policy, maxSamples }));
    if (given === null) return null;
    const what = given.groups.map(({ group }) => `${group.closed.group_id} ${group.policy}`);
    leased.set(given.batch.lease_id, what);
    return given.batch.lease_id;
  };
  const acknowledge = (id: string): void => {
    // A lease that was lost in a crash, or given out again since, is refused.
    try {
      ack(partition.ledger, id, { ...done, now });
      trained.set(id, leased.get(id) ?? []);
    } catch (error) {
      assert.ok(["conflict", "not-found"].includes((error as { code?: string }).code ?? ""));
    }
  };
  for (const step of steps) {
    now += 6000;
    expire(partition.ledger, now);
    if (step.do === "feed") partition.feed(step.count);
    if (step.do === "lease") take1(step.policy, step.max);
    if (step.do === "ack") acknowledge([...leased.keys()].at(-1 - step.which) ?? "0-0-0");
    partition.store(take(partition.ledger));
    if (step.do === "crash") partition.crash();
  }
  partition.feed();
  expire(partition.ledger, now + 60_000);
  for (const policy of policies) {
    for (let id = take1(policy, 3); id !== null; id = take1(policy, 3)) acknowledge(id);
  }
  partition.store(take(partition.ledger));
  return [...trained.values()].flat().sort();
}

test("each policy trains its rows of every group once, whatever the others and crashes do", async () => {
  const groups = fc.array(fc.array(fc.constantFrom(...policies), { minLength: 1, maxLength: 4 }), {
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(groups, commands, async (all, steps) => {
      const partition = await drivePartition();
      for (const [i, named] of all.entries()) partition.append(routed(`g${i}`, named));
      const expected = all.flatMap((named, i) => [...new Set(named)].map((one) => `g${i} ${one}`));
      assert.deepEqual(play(partition, steps), expected.sort());
      assert.equal(partition.committed, partition.log.length);
    }),
    { numRuns: 150 },
  );
});
