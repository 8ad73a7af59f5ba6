import type { GroupClosed, TransitionRecorded } from "../../schemas/types.ts";

/** The rows of a closed group that train one policy; all of them when no policy was named. */
export type Share = {
  /** Resource name; empty for rows of calls that no selection routed. */
  readonly policy: string;
  /** Names the share in the log: where its group was closed, and which share of it this is. */
  readonly place: string;
  readonly rows: readonly TransitionRecorded[];
  /** How many rows it must have. */
  readonly expected: number;
  /** Policy versions that generated its rows; null: none of them says. */
  readonly oldestVersion: number | null;
  readonly newestVersion: number | null;
};

/**
 * What a closed group is given out as: a share per policy, in the order of their names. Two agents
 * of one system train two models from the same rollouts, so each share is leased, acknowledged and
 * remembered for itself; within a share the group stays whole. A group whose rows did not all come
 * is one share, which is then set aside.
 */
export function sharesOf(
  closed: GroupClosed,
  rows: readonly TransitionRecorded[],
  closeOffset: number,
): Share[] {
  const place = String(closeOffset);
  const policies = [...new Set(rows.map(({ policy }) => policy))].sort();
  const expected = closed.transitions;
  if (rows.length !== expected || policies.length < 2) {
    const { min_policy_version: oldestVersion, max_policy_version: newestVersion } = closed;
    return [{ policy: policies[0] ?? "", place, rows, expected, oldestVersion, newestVersion }];
  }
  const byPolicy = new Map(policies.map((policy): [string, TransitionRecorded[]] => [policy, []]));
  for (const row of rows) byPolicy.get(row.policy)?.push(row);
  return [...byPolicy].map(([policy, own], index) => ({
    policy,
    place: index === 0 ? place : `${place}.${index}`,
    rows: own,
    expected: own.length,
    ...versionsOf(own),
  }));
}

/** A share is as old as its own rows, not as those that train another policy. */
function versionsOf(
  rows: readonly TransitionRecorded[],
): Pick<Share, "oldestVersion" | "newestVersion"> {
  const versions = rows.flatMap(({ policy_version }) => policy_version ?? []);
  if (versions.length === 0) return { oldestVersion: null, newestVersion: null };
  return {
    oldestVersion: versions.reduce((a, b) => Math.min(a, b)),
    newestVersion: versions.reduce((a, b) => Math.max(a, b)),
  };
}
