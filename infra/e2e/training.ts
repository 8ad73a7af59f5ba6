import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Produced } from "../../producers/producer.ts";
import { codeOf } from "../../schemas/errors.ts";
import { keyOf } from "../../schemas/topics.ts";
import type {
  BatchLeased,
  BatchReturned,
  BatchTrained,
  ResourcesUpdated,
} from "../../schemas/types.ts";
import { group } from "../../sinks/trainer/fixtures.ts";
import { ackBatch, leaseBatch, type TrainerAddress } from "../../sinks/trainer/worker/batches.ts";
import type { Tailed } from "../fold-partition.ts";
import type { Random } from "./load.ts";
import { type RoleProcess, type Stack, startRoleProcess } from "./stack.ts";
import { recordsOf } from "./verify.ts";

/** Rollouts of a group, one transition each. */
const groupSize = 4;

/** Appends whole groups with rows and gives their ids. */
export async function appendGroups(stack: Stack, name: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `${name}-g${i}`);
  const records = ids.flatMap((id) => {
    const members = Array.from({ length: groupSize }, (_, i) => `${id}-r${i}`);
    const about = { members, group_size: groupSize };
    return group(id, groupSize, about, { group_members: groupSize }).map(
      (one) => ({ ...one, topic: "transitions", key: keyOf("default", id) }) as Produced,
    );
  });
  await stack.context.append(records);
  return ids;
}

/** What a worker was answered: lease → the version its resources became, null when it sent none. */
export type Answered = Map<string, { resourcesId: string | null; version: number | null }>;

/** Leases, trains and acknowledges until the signal; two of three acknowledgements bring resources. */
export async function work(
  trainer: TrainerAddress,
  workerId: string,
  random: Random,
  answered: Answered,
  signal: AbortSignal,
): Promise<void> {
  for (let n = 0; !signal.aborted; n++) {
    try {
      const about = { workerId, maxSamples: 2 * groupSize, waitSeconds: 1, leaseSeconds: 3 };
      const batch = await leaseBatch(trainer, about, signal);
      if (batch === null) continue;
      await sleep(random() * 40);
      const resourcesId = n % 2 === 0 ? "policy" : "prompt";
      const made = { name: "w", kind: "weights" as const, blob: Buffer.from(`${workerId} ${n}`) };
      const trained = {
        metrics: { loss: 1 / (n + 1) },
        ...(n % 3 === 2 ? {} : { resources: { resourcesId, resources: [made] } }),
      };
      answered.set(batch.header.lease_id, await ackBatch(trainer, batch.header.lease_id, trained));
    } catch (error) {
      // A lease whose trainer died is given out again, and its first holder hears so.
      if (!signal.aborted && codeOf(error) !== "conflict") throw error;
    }
  }
}

/** A trainer process on a port it keeps when it is started again. */
export function startTrainerProcess(stack: Stack, port: number, fault?: string): RoleProcess {
  const args = ["--trainer-port", String(port)];
  return startRoleProcess(stack, ["trainer"], {
    args,
    ...(fault === undefined ? {} : { fault }),
  });
}

export type TrainingLog = {
  readonly trained: readonly BatchTrained[];
  readonly resources: readonly ResourcesUpdated[];
  readonly batches: readonly Tailed[];
};

export async function readTraining(stack: Stack): Promise<TrainingLog> {
  const batches = await recordsOf(stack, "batches");
  const resources = await recordsOf(stack, "resources");
  return {
    batches,
    trained: batches.flatMap(({ record }) =>
      record?.type === "BatchTrained" ? [record.value] : [],
    ),
    resources: resources.flatMap(({ record }) =>
      record?.type === "ResourcesUpdated" ? [record.value] : [],
    ),
  };
}

type GroupLife = { state: "ready" | "leased" | "trained"; deliveries: number; lease: string };

/**
 * Replays `batches` as one history: a group is leased only while nobody has it, its delivery counts
 * the leases before, and it is trained once, under its last lease.
 */
export function checkHistory(batches: readonly Tailed[]): void {
  const groups = new Map<string, GroupLife>();
  const lives = (ids: readonly string[]): GroupLife[] =>
    ids.map((id) => {
      const life = groups.get(id) ?? { state: "ready", deliveries: 0, lease: "" };
      groups.set(id, life);
      return life;
    });
  for (const { record } of batches) {
    if (record?.type === "BatchLeased") onLeased(record.value, lives(record.value.groups));
    if (record?.type === "BatchReturned") onReturned(record.value, lives(record.value.groups));
    if (record?.type === "BatchTrained") onTrained(record.value, lives(record.value.groups));
  }
}

function onLeased(batch: BatchLeased, lives: GroupLife[]): void {
  for (const life of lives) {
    assert.equal(life.state, "ready", `${batch.lease_id} gives out what ${life.lease} has`);
    life.state = "leased";
    life.deliveries += 1;
    life.lease = batch.lease_id;
  }
  const expected = Math.max(...lives.map(({ deliveries }) => deliveries));
  assert.equal(batch.delivery, expected, `delivery of ${batch.lease_id}`);
}

function onReturned(batch: BatchReturned, lives: GroupLife[]): void {
  assert.equal(batch.reason, "expired", `${batch.lease_id} came back`);
  for (const life of lives) {
    assert.deepEqual([life.state, life.lease], ["leased", batch.lease_id], "what comes back");
    life.state = "ready";
  }
}

function onTrained(batch: BatchTrained, lives: GroupLife[]): void {
  for (const life of lives) {
    assert.notEqual(life.state, "trained", `${batch.lease_id} trains what ${life.lease} trained`);
    assert.equal(life.lease, batch.lease_id, "trained under its last lease");
    life.state = "trained";
  }
}

/** Each set counts 1, 2, 3, … and each version has the one batch that made it. */
export function checkVersions({ trained, resources }: TrainingLog): void {
  const next = new Map<string, number>();
  for (const { resources_id, version } of resources) {
    const expected = (next.get(resources_id) ?? 0) + 1;
    assert.equal(version, expected, `version of ${resources_id}`);
    next.set(resources_id, expected);
  }
  const named = trained.flatMap(({ resources_id, resources_version }) =>
    resources_version === null ? [] : [`${resources_id} ${resources_version}`],
  );
  const published = resources.map(({ resources_id, version }) => `${resources_id} ${version}`);
  assert.deepEqual(named.sort(), published.sort(), "versions that batches name");
}

/** What workers were told is what the log says. */
export function checkAnswers(answered: Answered, trained: readonly BatchTrained[]): void {
  const byLease = new Map(trained.map((batch) => [batch.lease_id, batch]));
  for (const [lease, { resourcesId, version }] of answered) {
    const batch = byLease.get(lease);
    assert.ok(batch !== undefined, `${lease} was acknowledged, the log has nothing of it`);
    assert.deepEqual([batch.resources_id, batch.resources_version], [resourcesId, version], lease);
  }
}
