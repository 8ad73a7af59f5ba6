import { codeOf, LightningError, reactions } from "../../schemas/errors.ts";
import type { BatchLeased, BatchTrained } from "../../schemas/types.ts";
import { type Acknowledgement, nextVersion } from "./acknowledgement.ts";
import { type Leased, type LeaseRequest, lease } from "./leases.ts";
import { type Ledger, take } from "./ledger.ts";
import type { TrainerPort } from "./port.ts";
import { ack, acknowledgeable, expire, extend, nack, nextExpiry } from "./settle.ts";
import type { Waiting } from "./waiting.ts";

/** The question of a worker; the trainer adds the time and what the log says of policies. */
export type LeaseWish = Omit<LeaseRequest, "now" | "newestVersion">;

/** Set that the resources of an acknowledgement go to when neither worker, batch nor project has one. */
export const defaultResourcesId = "policy";

/** Ms since epoch. */
export type Clock = () => number;

/**
 * The operations of a trainer over all its partitions. Each steps a ledger and commits before it
 * answers, so an answer is durable. All throw what {@link TrainerPort} and settle.ts throw.
 */
export type Trainer = {
  /** A batch, or null when there was not enough until the deadline (ms since epoch). */
  lease(wish: LeaseWish, deadline: number, signal: AbortSignal): Promise<Leased | null>;
  extend(leaseId: string, project: string | null, leaseSeconds: number): Promise<BatchLeased>;
  ack(leaseId: string, project: string | null, given: Acknowledgement): Promise<BatchTrained>;
  nack(leaseId: string, project: string | null, detail: string): Promise<void>;
};

export function createTrainer(port: TrainerPort, waiting: Waiting, clock: Clock): Trainer {
  let turn = 0;
  return {
    async lease(wish, deadline, signal) {
      for (;;) {
        turn += 1;
        const leased = await leaseFromAny(port, wish, clock, turn);
        const now = clock();
        if (leased !== null || now >= deadline || signal.aborted || waiting.closed) return leased;
        const expiry = Math.min(...port.partitions().map(nextExpiry));
        await waiting.wait(Math.max(1, Math.min(deadline, expiry) - now), signal);
        if (signal.aborted) return null;
      }
    },
    async extend(leaseId, project, leaseSeconds) {
      const ledger = ledgerOf(port, leaseId, project);
      expire(ledger, clock());
      const batch = extend(ledger, leaseId, { now: clock(), leaseSeconds });
      await port.commit(ledger, take(ledger));
      return batch;
    },
    async ack(leaseId, project, given) {
      const ledger = ledgerOf(port, leaseId, project);
      const trained = acknowledge(port, ledger, leaseId, given, clock());
      await port.commit(ledger, take(ledger));
      waiting.changed();
      return trained;
    },
    async nack(leaseId, project, detail) {
      const ledger = ledgerOf(port, leaseId, project);
      nack(ledger, leaseId, { now: clock(), detail });
      await port.commit(ledger, take(ledger));
      waiting.changed();
    },
  };
}

/** Asks each partition once, beginning with another every turn. */
async function leaseFromAny(
  port: TrainerPort,
  wish: LeaseWish,
  clock: Clock,
  turn: number,
): Promise<Leased | null> {
  const ledgers = port.partitions();
  let failure: unknown = null;
  for (let i = 0; i < ledgers.length; i++) {
    const ledger = ledgers[(turn + i) % ledgers.length];
    if (ledger === undefined) continue;
    try {
      const leased = await leaseFrom(port, ledger, wish, clock());
      if (leased !== null) return leased;
    } catch (error) {
      // One partition that is being taken over must not keep the others from giving work out.
      if (!passes(error)) throw error;
      failure = error;
    }
  }
  if (failure !== null) throw failure;
  return null;
}

/** Whether asking again, here or elsewhere, can help. */
function passes(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && ["retry", "rejoin", "restore"].includes(reactions[code].reaction);
}

async function leaseFrom(
  port: TrainerPort,
  ledger: Ledger,
  wish: LeaseWish,
  now: number,
): Promise<Leased | null> {
  expire(ledger, now);
  const leased = lease(ledger, {
    ...wish,
    now,
    newestVersion: (resourcesId) =>
      resourcesId === null
        ? (port.policy(wish.project)?.version ?? null)
        : (port.resources(wish.project, resourcesId)?.version ?? null),
  });
  const effect = take(ledger);
  if (effect.records.length > 0 || effect.rows.length > 0) await port.commit(ledger, effect);
  return leased;
}

function acknowledge(
  port: TrainerPort,
  ledger: Ledger,
  leaseId: string,
  { metrics, resources }: Acknowledgement,
  now: number,
): BatchTrained {
  const found = acknowledgeable(ledger, leaseId);
  if ("answered" in found) return found.answered;
  const { project } = found.open;
  if (resources === null) return ack(ledger, leaseId, { now, metrics, updated: null });
  const resourcesId =
    resources.resourcesId ??
    resourcesIdOf(ledger, leaseId) ??
    port.policy(project)?.resourcesId ??
    defaultResourcesId;
  const latest = port.resources(project, resourcesId);
  const about = { project, resourcesId, batchId: leaseId, now };
  const updated = nextVersion(latest, resources.resources, about);
  return ack(ledger, leaseId, { now, metrics, updated });
}

/** The resource set all groups of a batch ran with, or null when they differ or had none. */
function resourcesIdOf(ledger: Ledger, leaseId: string): string | null {
  const ids = new Set<string | null>();
  for (const id of ledger.members.get(leaseId) ?? []) {
    const group = ledger.groups.get(id);
    if (group === undefined) {
      throw new LightningError(
        "overloaded",
        `lease ${leaseId}: partition ${ledger.partition} is still being read after a restart; ask again, or give resources_id`,
        { leaseId },
      );
    }
    ids.add(group.closed.resources_id);
  }
  const [only] = ids;
  return ids.size === 1 && only !== undefined ? only : null;
}

/** The ledger a lease was given from: its number stands before the lease's first dash. */
function ledgerOf(port: TrainerPort, leaseId: string, project: string | null): Ledger {
  const unknown = new LightningError("not-found", `lease ${leaseId} is not known`, { leaseId });
  const partition = /^(\d+)-\d+(?:\.\d+)?-\d+$/.exec(leaseId)?.[1];
  if (partition === undefined) throw unknown;
  const ledger = port.partitions().find((one) => one.partition === Number(partition));
  if (ledger === undefined) {
    throw new LightningError(
      "partition-lost",
      `lease ${leaseId}: partition ${partition} is not with this trainer now; ask again, or another trainer`,
      { leaseId, partition: Number(partition) },
    );
  }
  const owner = ledger.batches.get(leaseId)?.value.project;
  if (project !== null && owner !== undefined && owner !== project) throw unknown;
  return ledger;
}
