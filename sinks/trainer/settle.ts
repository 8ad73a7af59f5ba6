import { LightningError } from "../../schemas/errors.ts";
import { keyOf } from "../../schemas/topics.ts";
import type {
  BatchLeased,
  BatchReturned,
  BatchTrained,
  ResourcesUpdated,
} from "../../schemas/types.ts";
import { type BatchRow, type Ledger, report, setBatch } from "./ledger.ts";
import { finish, offer } from "./offer.ts";

/**
 * Moves the end of a lease to `now + leaseSeconds`, never nearer. Throws `not-found`, or `conflict`
 * once it has ended.
 */
export function extend(
  ledger: Ledger,
  leaseId: string,
  { now, leaseSeconds }: { readonly now: number; readonly leaseSeconds: number },
): BatchLeased {
  const row = find(ledger, leaseId);
  if (row.type !== "BatchLeased") {
    throw conflict(leaseId, `${ended(row)}; only a running lease can be extended`);
  }
  const expiresAt = Math.max(row.value.expires_at, (now + leaseSeconds * 1000) * 1000);
  const batch = { ...row.value, expires_at: expiresAt };
  setBatch(ledger, leaseId, { type: "BatchLeased", value: batch });
  return batch;
}

/**
 * What an acknowledgement of this lease is about: the batch when it can still be acknowledged, or
 * the earlier acknowledgement, whose answer is given again. Throws `not-found` for a lease nobody
 * knows and `conflict` when its groups went to another worker or were set aside.
 */
export function acknowledgeable(
  ledger: Ledger,
  leaseId: string,
): { readonly open: BatchLeased | BatchReturned } | { readonly answered: BatchTrained } {
  const row = find(ledger, leaseId);
  if (row.type === "BatchTrained") return { answered: row.value };
  if (row.type === "BatchReturned" && row.value.reason !== "expired") {
    throw conflict(leaseId, ended(row));
  }
  const ids = [...(ledger.members.get(leaseId) ?? [])];
  const live = ids.filter((id) => ledger.marks.get(id)?.done === false);
  if (live.length !== row.value.groups.length) {
    const gone = row.value.groups.length - live.length;
    throw conflict(
      leaseId,
      `it expired and ${gone} of its groups were given out again or set aside`,
    );
  }
  return { open: row.value };
}

/**
 * Acknowledges a lease, whether it runs or has expired without its groups being given out again.
 * A second time gives the first answer and changes nothing. Throws as {@link acknowledgeable}.
 */
export function ack(
  ledger: Ledger,
  leaseId: string,
  given: {
    readonly now: number;
    readonly metrics: Readonly<Record<string, number>>;
    /** The version of the resource set that training made; null when it made none. */
    readonly updated: ResourcesUpdated | null;
  },
): BatchTrained {
  const found = acknowledgeable(ledger, leaseId);
  if ("answered" in found) return found.answered;
  const { project, groups, transitions, delivery, worker_id } = found.open;
  const { updated } = given;
  const trained: BatchTrained = {
    project,
    batch_id: leaseId,
    lease_id: leaseId,
    worker_id,
    groups,
    transitions,
    delivery,
    metrics: given.metrics,
    resources_id: updated?.resources_id ?? null,
    resources_version: updated?.version ?? null,
    trained_at: given.now * 1000,
  };
  for (const id of [...(ledger.members.get(leaseId) ?? [])]) {
    const mark = ledger.marks.get(id);
    if (mark !== undefined) finish(ledger, id, { ...mark, done: true });
  }
  setBatch(ledger, leaseId, { type: "BatchTrained", value: trained });
  if (updated !== null) {
    const key = keyOf(updated.project, updated.resources_id);
    ledger.records.push({ type: "ResourcesUpdated", value: updated, topic: "resources", key });
  }
  report(ledger, { type: "BatchTrained", value: trained });
  return trained;
}

/** Hands a batch back: its groups are given out again. A second time changes nothing. Throws as {@link ack}. */
export function nack(
  ledger: Ledger,
  leaseId: string,
  { now, detail }: { readonly now: number; readonly detail: string },
): BatchReturned {
  const row = find(ledger, leaseId);
  if (row.type === "BatchReturned") return row.value;
  if (row.type === "BatchTrained") throw conflict(leaseId, ended(row));
  return giveBack(ledger, row.value, now, "refused", detail);
}

/** Ends every lease whose time is over; returns how many. */
export function expire(ledger: Ledger, now: number): number {
  let expired = 0;
  for (const row of [...ledger.batches.values()]) {
    if (row.type !== "BatchLeased" || row.value.expires_at > now * 1000) continue;
    giveBack(ledger, row.value, now, "expired", null);
    expired += 1;
  }
  return expired;
}

/** When the next lease ends, ms since epoch; Infinity without leases. */
export function nextExpiry(ledger: Ledger): number {
  let earliest = Infinity;
  for (const row of ledger.batches.values()) {
    if (row.type === "BatchLeased") earliest = Math.min(earliest, row.value.expires_at / 1000);
  }
  return earliest;
}

function giveBack(
  ledger: Ledger,
  batch: BatchLeased,
  now: number,
  reason: "expired" | "refused",
  detail: string | null,
): BatchReturned {
  const { project, batch_id, lease_id, worker_id, groups, transitions, delivery } = batch;
  const about = { project, batch_id, lease_id, worker_id, groups, transitions, delivery };
  const value: BatchReturned = { ...about, reason, detail, returned_at: now * 1000 };
  setBatch(ledger, batch_id, { type: "BatchReturned", value });
  report(ledger, { type: "BatchReturned", value });
  for (const id of [...(ledger.members.get(batch_id) ?? [])]) {
    // After a restart a group may not have been read again yet: it is offered when it is.
    const group = ledger.groups.get(id);
    if (group !== undefined) offer(ledger, group, now);
  }
  return value;
}

function find(ledger: Ledger, leaseId: string) {
  const row = ledger.batches.get(leaseId);
  if (row === undefined) {
    throw new LightningError("not-found", `lease ${leaseId} is not known`, { leaseId });
  }
  return row;
}

function ended(row: BatchRow): string {
  if (row.type === "BatchTrained") return "it was acknowledged";
  if (row.type === "BatchLeased") return "it is running";
  return row.value.reason === "expired" ? "it expired" : "it was handed back";
}

function conflict(leaseId: string, why: string): LightningError {
  return new LightningError("conflict", `lease ${leaseId}: ${why}`, { leaseId });
}
