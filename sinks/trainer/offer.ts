import type { GroupClosed, GroupTrained } from "../../schemas/types.ts";
import { type Group, type Ledger, release, report, setMark } from "./ledger.ts";

/** Why a group is never trained. */
export type SetAsideReason =
  | "stale"
  | "equal-rewards"
  | "exhausted"
  | "superseded"
  | "mode"
  | "empty"
  | "incomplete";

/** Mode of a group; one without is there to be trained. */
export function modeOf(closed: GroupClosed): string {
  return closed.mode ?? "train";
}

/** Why a group cannot be given out, or null. */
export function flawOf(
  ledger: Ledger,
  { id, closed, size, expected }: Group,
): { readonly reason: SetAsideReason; readonly detail: string } | null {
  if (size !== expected) {
    const detail = `read ${size} rows, the group has ${expected}`;
    return { reason: "incomplete", detail };
  }
  if (size === 0) return { reason: "empty", detail: "the group has no rows" };
  if (!ledger.settings.modes.includes(modeOf(closed))) {
    return { reason: "mode", detail: `mode ${modeOf(closed)} is not trained` };
  }
  const deliveries = ledger.marks.get(id)?.deliveries ?? 0;
  if (deliveries >= ledger.settings.maxDeliveries) {
    const detail = `given out ${deliveries} times, never acknowledged`;
    return { reason: "exhausted", detail };
  }
  return null;
}

/** Whether a worker has the group now. */
export function isHeld(ledger: Ledger, id: string): boolean {
  const batchId = ledger.marks.get(id)?.batch_id ?? null;
  return batchId !== null && ledger.batches.get(batchId)?.type === "BatchLeased";
}

/** Makes a group leasable, in the place its closing gives it; a flawed one is set aside. */
export function offer(ledger: Ledger, group: Group, now: number): void {
  const flaw = flawOf(ledger, group);
  if (flaw !== null) {
    setAside(ledger, group, now, flaw.reason, flaw.detail);
    return;
  }
  ledger.ready.splice(placeOf(ledger, group), 0, group);
}

/** Where a group stands, or would stand, among the ready ones. */
function placeOf({ ready }: Ledger, group: Group): number {
  let low = 0;
  for (let high = ready.length; low < high; ) {
    const middle = (low + high) >> 1;
    const other = ready[middle];
    if (other !== undefined && isBefore(other, group)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Oldest closing first, its shares in the order of their policies. */
function isBefore(a: Group, b: Group): boolean {
  return a.closeOffset < b.closeOffset || (a.closeOffset === b.closeOffset && a.policy < b.policy);
}

/** Ends a group without training it, and says so on `batches`; `now` in ms since epoch. */
export function setAside(
  ledger: Ledger,
  group: Group,
  now: number,
  reason: SetAsideReason,
  detail: string,
): void {
  const deliveries = ledger.marks.get(group.id)?.deliveries ?? 0;
  finish(ledger, group.id, {
    done: true,
    deliveries,
    batch_id: null,
    offset: group.closeOffset,
  });
  report(ledger, {
    type: "BatchReturned",
    value: {
      project: group.closed.project,
      batch_id: `${ledger.partition}-${group.place}-${reason}`,
      lease_id: "",
      worker_id: "",
      groups: [group.closed.group_id],
      transitions: group.size,
      delivery: deliveries,
      reason,
      detail,
      returned_at: now * 1000,
    },
  });
}

/** Marks a group done and frees its rows. */
export function finish(ledger: Ledger, id: string, mark: GroupTrained): void {
  setMark(ledger, id, mark);
  const group = ledger.groups.get(id);
  if (group === undefined) return;
  ledger.groups.delete(id);
  release(ledger, group.firstOffset);
  ledger.bytes -= group.bytes;
  const place = placeOf(ledger, group);
  if (ledger.ready[place] === group) ledger.ready.splice(place, 1);
}
