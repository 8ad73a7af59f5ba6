import type { BatchLeased } from "../../schemas/types.ts";
import { type Group, isFull, type Ledger, report, setBatch, setMark } from "./ledger.ts";
import { modeOf, setAside } from "./offer.ts";

/** What a worker asks for. Times in ms since epoch. */
export type LeaseRequest = {
  readonly now: number;
  readonly workerId: string;
  readonly project: string;
  readonly mode: string;
  /** Only rows that train this policy; null: of any policy, each group's side by side. */
  readonly policy: string | null;
  /** Rows at most; null: no limit. A larger group is given alone. */
  readonly maxSamples: number | null;
  /** Tokens at most; null: no limit. A larger group is given alone. */
  readonly maxTokens: number | null;
  /** Nothing is given until so many rows are ready or no more would fit. */
  readonly minSamples: number;
  /** Versions a policy's share of a group may be behind; older ones are never trained. Null: any. */
  readonly maxStaleness: number | null;
  readonly equalRewards: "include" | "withhold";
  readonly leaseSeconds: number;
  /** Newest version known from the log of a resource set; null asks for the project's policy. */
  newestVersion(resourcesId: string | null): number | null;
};

export type Leased = { readonly batch: BatchLeased; readonly groups: readonly LeasedGroup[] };
/** A group and the how-manieth time it is given out. */
export type LeasedGroup = { readonly group: Group; readonly delivery: number };

/** Gives whole groups out, oldest first, or null when there is not enough. */
export function lease(ledger: Ledger, request: LeaseRequest): Leased | null {
  const chosen = choose(ledger, request);
  const first = chosen[0];
  if (first === undefined) return null;
  const groups = chosen.map((group) => ({
    group,
    delivery: (ledger.marks.get(group.id)?.deliveries ?? 0) + 1,
  }));
  const batchId = `${ledger.partition}-${first.place}-${groups[0]?.delivery}`;
  const batch = describe(batchId, groups, request);
  setBatch(ledger, batchId, { type: "BatchLeased", value: batch });
  for (const { group, delivery } of groups) {
    setMark(ledger, group.id, {
      done: false,
      deliveries: delivery,
      batch_id: batchId,
      offset: group.closeOffset,
    });
  }
  const taken = new Set(chosen);
  ledger.ready = ledger.ready.filter((group) => !taken.has(group));
  report(ledger, { type: "BatchLeased", value: batch });
  return { batch, groups };
}

function choose(ledger: Ledger, request: LeaseRequest): readonly Group[] {
  const maxSamples = request.maxSamples ?? Infinity;
  const maxTokens = request.maxTokens ?? Infinity;
  const chosen: Group[] = [];
  let samples = 0;
  let tokens = 0;
  // A paused partition brings no more rows: waiting for them would be for ever.
  let full = isFull(ledger);
  for (const group of [...ledger.ready]) {
    if (!isWanted(ledger, group, request)) continue;
    const fits = samples + group.size <= maxSamples && tokens + group.tokens <= maxTokens;
    if (!fits) full = true;
    if (!fits && chosen.length > 0) break;
    chosen.push(group);
    samples += group.size;
    tokens += group.tokens;
    if (!fits) break;
  }
  full ||= samples >= maxSamples || tokens >= maxTokens;
  return full || samples >= request.minSamples ? chosen : [];
}

/** Whether the group suits the request; one that is never to be trained is set aside. */
function isWanted(ledger: Ledger, group: Group, request: LeaseRequest): boolean {
  const { closed } = group;
  if (closed.project !== request.project || modeOf(closed) !== request.mode) return false;
  if (request.policy !== null && group.policy !== request.policy) return false;
  const behind = stalenessOf(group, request);
  if (request.maxStaleness !== null && behind !== null && behind > request.maxStaleness) {
    const detail = `${behind} policy versions behind, allowed is ${request.maxStaleness}`;
    setAside(ledger, group, request.now, "stale", detail);
    return false;
  }
  if (closed.equal_rewards && request.equalRewards === "withhold") {
    setAside(ledger, group, request.now, "equal-rewards", `withheld by ${request.workerId}`);
    return false;
  }
  return true;
}

/** In versions of the resource set, whichever of its policies a version was made for. */
function stalenessOf({ closed, oldestVersion }: Group, request: LeaseRequest): number | null {
  const newest = request.newestVersion(closed.resources_id);
  if (newest === null || oldestVersion === null) return null;
  return Math.max(0, newest - oldestVersion);
}

function describe(
  batchId: string,
  groups: readonly LeasedGroup[],
  request: LeaseRequest,
): BatchLeased {
  const largest = (values: readonly (number | null)[]): number | null =>
    values.reduce((most, value) => (most === null || (value ?? most) > most ? value : most), null);
  return {
    project: request.project,
    batch_id: batchId,
    lease_id: batchId,
    worker_id: request.workerId,
    groups: groups.map(({ group }) => group.closed.group_id),
    transitions: groups.reduce((sum, { group }) => sum + group.size, 0),
    tokens: groups.reduce((sum, { group }) => sum + group.tokens, 0),
    delivery: Math.max(...groups.map(({ delivery }) => delivery)),
    policy_version: largest(
      groups.map(({ group }) => request.newestVersion(group.closed.resources_id)),
    ),
    max_staleness: largest(groups.map(({ group }) => stalenessOf(group, request))),
    leased_at: request.now * 1000,
    expires_at: (request.now + request.leaseSeconds * 1000) * 1000,
  };
}
