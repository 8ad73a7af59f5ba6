import { splitKey } from "../../schemas/topics.ts";
import type { CallOmitted, Credit, GroupClosed, TransitionRecorded } from "../../schemas/types.ts";
import { meanOf, sampleStdOf } from "./baseline.ts";
import type { WholeMember } from "./sampling.ts";
import type { Assigned, Withheld } from "./strategy.ts";

/** How a group is closed. */
export type Closing = {
  readonly reason: "complete" | "deadline";
  readonly groupSize: number;
  /** Log time, µs. */
  readonly closedAt: number;
  /** 0 the first time; a larger one takes the place of all rows of the smaller ones. */
  readonly revision: number;
  /** Transitions of the revision before. */
  readonly replaces: number;
};

/** What all rows of a group share. */
export type Shared = Pick<
  TransitionRecorded,
  "group_size" | "group_members" | "credit" | "revision"
>;

/** A transition per step; every token of its action trains under the step's own advantage. */
export function transitionsOf(
  { rollout, steps }: WholeMember,
  assigned: Assigned | undefined,
  shared: Shared,
): TransitionRecorded[] {
  return steps.map((step, i) => ({
    ...step,
    ...shared,
    step_count: steps.length,
    // A Buffer, because Avro writes no other byte array.
    loss_mask: Buffer.alloc(step.response_ids.length / 4, 1),
    rollout_reward: rollout.reward,
    return_value: assigned?.returns[i] ?? 0,
    advantage: assigned?.advantages[i] ?? 0,
    weight: 1 / steps.length,
    mode: rollout.mode,
    resources_id: rollout.resources_id,
    resources_version: rollout.resources_version,
    rollout_status: rollout.status,
    metadata: rollout.metadata,
    ended_at: rollout.ended_at,
  }));
}

/** A record per step that gives no transition, saying why. */
export function omittedOf(
  { steps }: WholeMember,
  { reason, detail }: Withheld,
  revision: number,
): CallOmitted[] {
  return steps.map((step) => ({
    project: step.project,
    rollout_id: step.rollout_id,
    group_id: step.group_id,
    attempt_id: step.attempt_id,
    span_id: step.span_id,
    agent: step.agent,
    model: step.model,
    reason,
    detail: step.choice === 0 ? detail : `choice ${step.choice}: ${detail}`,
    revision,
    provenance: step.provenance,
  }));
}

/** What the closing record says of the rows before it. */
export type Written = {
  readonly transitions: readonly TransitionRecorded[];
  readonly withheld: number;
  readonly equalRewards: boolean;
  readonly credit: Credit;
};

/** The closing record of a group of `members`, in order. */
export function closedOf(
  members: readonly WholeMember[],
  { transitions, withheld, equalRewards, credit }: Written,
  key: string,
  { reason, groupSize, closedAt, revision, replaces }: Closing,
): GroupClosed {
  const { project, id } = splitKey(key);
  const first = members[0]?.rollout;
  const given = members.flatMap(({ rollout }) => (rollout.reward === null ? [] : [rollout.reward]));
  const versions = transitions.flatMap(({ policy_version }) => policy_version ?? []);
  return {
    project,
    group_id: id,
    reason,
    group_size: groupSize,
    members: members.map(({ rollout }) => rollout.rollout_id),
    transitions: transitions.length,
    withheld,
    mode: first?.mode ?? null,
    resources_id: first?.resources_id ?? null,
    mean_reward: given.length === 0 ? null : finite(meanOf(given)),
    std_reward: finite(sampleStdOf(given)),
    equal_rewards: equalRewards,
    min_policy_version: versions.length === 0 ? null : versions.reduce((a, b) => Math.min(a, b)),
    max_policy_version: versions.length === 0 ? null : versions.reduce((a, b) => Math.max(a, b)),
    credit,
    closed_at: closedAt,
    revision,
    replaces,
  };
}

/** Huge rewards have a mean or deviation beyond what a float64 holds: none. */
function finite(value: number | null): number | null {
  return Number.isFinite(value) ? value : null;
}
