import { isFull, type Ledger, lowWatermark } from "./ledger.ts";
import { modeOf } from "./offer.ts";

/** What the trainer holds, for people: per partition, and the running leases; of one project or all. */
export function statusOf(ledgers: readonly Ledger[], project: string | null) {
  return {
    partitions: ledgers.map((ledger) => partitionOf(ledger, project)),
    leases: ledgers.flatMap((ledger) => leasesOf(ledger, project)),
  };
}

function partitionOf(ledger: Ledger, project: string | null) {
  const ready = ledger.ready.filter(({ closed }) => isOf(closed.project, project));
  const waiting: Record<string, number> = {};
  for (const { closed, policy } of ready) {
    const name = `${closed.project}/${modeOf(closed)}${policy === "" ? "" : `/${policy}`}`;
    waiting[name] = (waiting[name] ?? 0) + 1;
  }
  return {
    partition: ledger.partition,
    position: ledger.position,
    low_watermark: lowWatermark(ledger),
    bytes: ledger.bytes,
    max_bytes: ledger.settings.maxBytes,
    full: isFull(ledger),
    open_groups: ledger.open.size,
    ready_groups: ready.length,
    ready_transitions: ready.reduce((sum, { size }) => sum + size, 0),
    /** Groups by project, mode and policy: whom nobody leases for holds the partition up. */
    waiting,
  };
}

function leasesOf(ledger: Ledger, project: string | null) {
  return [...ledger.batches.values()].flatMap((row) => {
    if (row.type !== "BatchLeased" || !isOf(row.value.project, project)) return [];
    const { lease_id, worker_id, groups, transitions, delivery, expires_at } = row.value;
    return [
      {
        lease_id,
        project: row.value.project,
        worker_id,
        groups: groups.length,
        transitions,
        delivery,
        expires_at: new Date(expires_at / 1000),
      },
    ];
  });
}

function isOf(owner: string, project: string | null): boolean {
  return project === null || owner === project;
}
