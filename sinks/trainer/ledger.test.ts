import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Tagged } from "../../schemas/records.ts";
import { type DrivenPartition, drivePartition } from "./drive.ts";
import { group, leaseRequest } from "./fixtures.ts";
import { type LeaseRequest, lease } from "./leases.ts";
import { defaultLedgerSettings, type Ledger, lowWatermark, take } from "./ledger.ts";
import { ack, expire, extend, nack } from "./settle.ts";

const settings = { ...defaultLedgerSettings, maxDeliveries: 4, remembered: 8 };

type GroupPlan = {
  readonly rows: number;
  readonly mode: string | null;
  readonly equal_rewards: boolean;
  readonly min_policy_version: number | null;
  readonly revised: boolean;
};

type Command =
  | { readonly do: "feed"; readonly count: number }
  | { readonly do: "lease"; readonly max: number; readonly min: number; readonly fussy: boolean }
  | { readonly do: "ack" | "nack" | "extend"; readonly which: number }
  | { readonly do: "wait"; readonly seconds: number }
  | { readonly do: "crash"; readonly before: boolean };

const plans: fc.Arbitrary<readonly GroupPlan[]> = fc.array(
  fc.record({
    rows: fc.nat(3),
    mode: fc.constantFrom("train", "train", null, "val"),
    equal_rewards: fc.boolean(),
    min_policy_version: fc.constantFrom(null, 1, 5),
    revised: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  }),
  { minLength: 1, maxLength: 12, size: "max" },
);

const which = fc.nat(5);
const commands: fc.Arbitrary<readonly Command[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("feed" as const), count: fc.integer({ min: 1, max: 12 }) }),
    fc.record({
      do: fc.constant("lease" as const),
      max: fc.integer({ min: 1, max: 6 }),
      min: fc.integer({ min: 1, max: 3 }),
      fussy: fc.boolean(),
    }),
    fc.record({ do: fc.constantFrom("ack" as const, "nack" as const, "extend" as const), which }),
    fc.record({ do: fc.constant("wait" as const), seconds: fc.constantFrom(1, 5, 12) }),
    fc.record({ do: fc.constant("crash" as const), before: fc.boolean() }),
  ),
  { maxLength: 60, size: "max" },
);

/** The rows of all groups, woven together by the seed, each group's in order. */
function weave(groups: readonly GroupPlan[], seed: readonly number[]): Tagged[] {
  const queues = groups.map(({ rows, revised, ...closed }, i) => [
    ...group(`g${i}`, rows, closed),
    ...(revised ? group(`g${i}`, rows, { ...closed, revision: 1 }) : []),
  ]);
  const log: Tagged[] = [];
  for (let i = 0; queues.some((queue) => queue.length > 0); i++) {
    const left = queues.filter((queue) => queue.length > 0);
    const next = left[(seed[i % seed.length] ?? 0) % left.length]?.shift();
    if (next !== undefined) log.push(next);
  }
  return log;
}

function request(now: number, about: Partial<LeaseRequest> = {}): LeaseRequest {
  return leaseRequest({ now, newestVersion: () => 5, ...about });
}

/** Does a command; refused acks and the like are part of the game. Returns leases given. */
function act(ledger: Ledger, command: Command, now: number, leases: readonly string[]): string[] {
  const id = "which" in command ? leases[command.which % Math.max(1, leases.length)] : undefined;
  try {
    if (command.do === "lease") {
      const about = command.fussy
        ? { maxStaleness: 2, equalRewards: "withhold" as const }
        : ({} as const);
      const limits = { maxSamples: Math.max(command.max, command.min), minSamples: command.min };
      const leased = lease(ledger, request(now, { ...limits, ...about }));
      return leased === null ? [] : [leased.batch.lease_id];
    }
    if (id === undefined) return [];
    if (command.do === "ack") ack(ledger, id, { now, metrics: {}, updated: null });
    if (command.do === "nack") nack(ledger, id, { now, detail: "" });
    if (command.do === "extend") extend(ledger, id, { now, leaseSeconds: 10 });
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    assert.ok(["conflict", "not-found"].includes(code), String(error));
  }
  return [];
}

function assertNeverInTwoLeases(ledger: Ledger): void {
  const held = [...ledger.batches.values()].flatMap((row) =>
    row.type === "BatchLeased" ? row.value.groups : [],
  );
  assert.equal(new Set(held).size, held.length, `held twice: ${held}`);
}

/** The watermark as it is defined; the ledger keeps it without looking at every group. */
function assertLowWatermark(ledger: Ledger): void {
  const held = [...ledger.open.values(), ...ledger.groups.values()];
  const first = Math.min(ledger.position, ...held.map(({ firstOffset }) => firstOffset));
  assert.equal(lowWatermark(ledger), first);
}

function play(partition: DrivenPartition, steps: readonly Command[]): number {
  const leases: string[] = [];
  let now = 1000;
  for (const step of steps) {
    if (step.do === "wait") now += step.seconds * 1000;
    else if (step.do === "feed") partition.feed(step.count);
    else if (step.do === "crash") {
      if (step.before) {
        partition.feed(3);
        lease(partition.ledger, request(now));
      }
      partition.crash();
    }
    expire(partition.ledger, now);
    leases.unshift(...act(partition.ledger, step, now, leases));
    assertNeverInTwoLeases(partition.ledger);
    assertLowWatermark(partition.ledger);
    const before = partition.committed;
    partition.store(take(partition.ledger));
    assert.ok(partition.committed >= before, "the low watermark went back");
  }
  return now;
}

function drain(partition: DrivenPartition, from: number): void {
  let now = from;
  for (let idle = 0; idle < 2; ) {
    partition.feed();
    now += 100_000;
    expire(partition.ledger, now);
    const leased = lease(partition.ledger, request(now));
    if (leased === null) idle += 1;
    else ack(partition.ledger, leased.batch.lease_id, { now, metrics: {}, updated: null });
    partition.store(take(partition.ledger));
  }
}

/** For each group how often it was trained and how often set aside for ever. */
function ends(partition: DrivenPartition): Map<string, { trained: number; left: string[] }> {
  const all = new Map<string, { trained: number; left: string[] }>();
  for (const one of partition.out) {
    if (one.type !== "BatchTrained" && one.type !== "BatchReturned") continue;
    for (const id of one.value.groups) {
      const end = all.get(id) ?? { trained: 0, left: [] };
      all.set(id, end);
      if (one.type === "BatchTrained") end.trained += 1;
      else if (!["expired", "refused"].includes(one.value.reason)) end.left.push(one.value.reason);
    }
  }
  return all;
}

function stateOf(ledger: Ledger): unknown {
  const plain: unknown = JSON.parse(
    JSON.stringify({
      position: ledger.position,
      lowWatermark: lowWatermark(ledger),
      bytes: ledger.bytes,
      ready: ledger.ready.map(({ id }) => id),
      groups: [...ledger.groups.keys()].sort(),
      marks: [...ledger.marks].sort(byKey),
      batches: [...ledger.batches].sort(byKey),
      members: [...ledger.members].map(([id, set]) => [id, [...set].sort()]).sort(byKey),
      open: [...ledger.open].map(([key, { rows }]) => [key, [...rows.keys()]]).sort(byKey),
    }),
  );
  return plain;
}

function byKey([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return String(a) < String(b) ? -1 : 1;
}

describe("a ledger", () => {
  test("brings every group to exactly one end, whatever workers do and wherever it crashes", async () => {
    await fc.assert(
      fc.asyncProperty(
        plans,
        fc.array(fc.nat(), { minLength: 1 }),
        commands,
        async (gs, seed, cs) => {
          const partition = await drivePartition(0, settings);
          partition.append(weave(gs, seed));
          drain(partition, play(partition, cs));
          const all = ends(partition);
          for (const [i, plan] of gs.entries()) {
            const end = all.get(`g${i}`) ?? { trained: 0, left: [] };
            const revisions = plan.revised ? 2 : 1;
            assert.ok(end.trained <= 1, `g${i} was trained ${end.trained} times`);
            assert.equal(end.trained + end.left.length, revisions, `g${i}: ${JSON.stringify(end)}`);
          }
          assert.equal(partition.committed, partition.log.length);
          const marks = [...partition.changelog.keys()].filter((key) => key.startsWith("group/"));
          assert.deepEqual(marks, [], "marks outlive their groups");
        },
      ),
      { numRuns: 300, includeErrorInReport: true },
    );
  });

  test("is the same after a crash as before it", async () => {
    await fc.assert(
      fc.asyncProperty(
        plans,
        fc.array(fc.nat(), { minLength: 1 }),
        commands,
        async (gs, seed, cs) => {
          const partition = await drivePartition(0, settings);
          partition.append(weave(gs, seed));
          play(partition, cs);
          const before = stateOf(partition.ledger);
          const read = partition.ledger.position - partition.committed;
          partition.crash();
          if (read > 0) partition.feed(read);
          const effect = take(partition.ledger);
          assert.deepEqual(stateOf(partition.ledger), before);
          assert.deepEqual(effect.records, [], "a restart said something twice");
        },
      ),
      { numRuns: 300, includeErrorInReport: true },
    );
  });

  test("hands over nothing when nothing changed", async () => {
    const partition = await drivePartition();
    partition.append(group("g", 2));
    partition.feed();
    take(partition.ledger);
    const again = take(partition.ledger);
    assert.deepEqual([again.records, again.rows], [[], []]);
  });

  test("remembers a bounded number of finished batches", async () => {
    const partition = await drivePartition(0, settings);
    for (let i = 0; i < 40; i++) partition.append(group(`g${i}`, 1));
    partition.feed();
    for (let i = 0; i < 40; i++) {
      const leased = lease(partition.ledger, request(i, { maxSamples: 1 }));
      assert.ok(leased);
      ack(partition.ledger, leased.batch.lease_id, { now: i, metrics: {}, updated: null });
      partition.store(take(partition.ledger));
    }
    assert.ok(partition.changelog.size <= 10, `${partition.changelog.size} rows`);
    assert.ok([...partition.changelog.keys()].includes("batch/0-79-1"), "the newest is forgotten");
  });
});
