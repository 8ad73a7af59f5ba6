import type { Tagged } from "../../schemas/records.ts";
import { splitKey } from "../../schemas/topics.ts";
import type {
  GroupClosed,
  RolloutAssembled,
  StepRecorded,
  TransitionRecorded,
} from "../../schemas/types.ts";
import { strategyOf } from "./registry.ts";
import { type Assigned, meanOf, sampleStdOf } from "./strategy.ts";

/** A rollout of the group with all its steps, in order. */
export type WholeMember = {
  readonly rollout: RolloutAssembled;
  readonly steps: readonly StepRecorded[];
};

/** How a group was closed. */
export type Closing = {
  readonly reason: "complete" | "deadline";
  readonly groupSize: number;
  /** Log time, µs. */
  readonly closedAt: number;
};

/**
 * The transitions of a group and its closing record, in a fixed order (rollout id, step).
 *
 * A member without a reward counts as 0, the reference's fill value. A member that neither took a
 * step nor has a reward (cancelled in the queue, say) is no sample of the policy: it is a member but
 * has no part in the baseline.
 */
export function creditGroup(
  members: readonly WholeMember[],
  key: string,
  closing: Closing,
): Tagged<"TransitionRecorded" | "GroupClosed">[] {
  const inOrder = members.toSorted((a, b) =>
    a.rollout.rollout_id < b.rollout.rollout_id ? -1 : 1,
  );
  const samples = inOrder.filter(
    ({ rollout, steps }) => steps.length > 0 || rollout.reward !== null,
  );
  const rewards = samples.map(({ rollout }) => rollout.reward ?? 0);
  const { strategy, parameters } = strategyOf(creditOf(inOrder));
  const credit = { strategy: strategy.name, parameters };
  const assigned = strategy.assign(
    samples.map(({ steps }, i) => ({
      reward: rewards[i] ?? 0,
      stepRewards: steps.map((step) => step.reward),
    })),
    parameters,
  );
  const shared = { group_size: closing.groupSize, group_members: samples.length, credit };
  const rows = samples.flatMap((member, i) => transitionsOf(member, assigned[i], shared));
  const { project, id } = splitKey(key);
  const closed: GroupClosed = {
    project,
    group_id: id,
    ...closedOf(inOrder, rows, closing),
    ...spreadOf(inOrder),
    equal_rewards: areEqual(rewards),
    credit,
  };
  return [
    ...rows.map((value) => ({ type: "TransitionRecorded" as const, value })),
    { type: "GroupClosed" as const, value: closed },
  ];
}

/** Members should agree; when they do not, the one that ended first decides. */
function creditOf(members: readonly WholeMember[]): RolloutAssembled["credit"] {
  const first = members.reduce<WholeMember | undefined>(
    (best, member) =>
      best === undefined || member.rollout.ended_at < best.rollout.ended_at ? member : best,
    undefined,
  );
  return first?.rollout.credit ?? { strategy: "final-reward", parameters: {} };
}

type Shared = Pick<TransitionRecorded, "group_size" | "group_members" | "credit">;

function transitionsOf(
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
    revision: 0,
  }));
}

function closedOf(
  members: readonly WholeMember[],
  transitions: readonly TransitionRecorded[],
  { reason, groupSize, closedAt }: Closing,
): Omit<
  GroupClosed,
  "project" | "group_id" | "credit" | "equal_rewards" | "mean_reward" | "std_reward"
> {
  const first = members[0]?.rollout;
  const versions = transitions.flatMap(({ policy_version }) =>
    policy_version === null ? [] : [policy_version],
  );
  return {
    reason,
    group_size: groupSize,
    members: members.map(({ rollout }) => rollout.rollout_id),
    transitions: transitions.length,
    mode: first?.mode ?? null,
    resources_id: first?.resources_id ?? null,
    min_policy_version: versions.length === 0 ? null : versions.reduce((a, b) => Math.min(a, b)),
    max_policy_version: versions.length === 0 ? null : versions.reduce((a, b) => Math.max(a, b)),
    closed_at: closedAt,
    revision: 0,
  };
}

/** Mean and deviation over the members that have a reward. */
function spreadOf(
  members: readonly WholeMember[],
): Pick<GroupClosed, "mean_reward" | "std_reward"> {
  const given = members.flatMap(({ rollout }) => (rollout.reward === null ? [] : [rollout.reward]));
  return { mean_reward: given.length === 0 ? null : meanOf(given), std_reward: sampleStdOf(given) };
}

/** A group of one is compared with nobody, so its reward is not wasted. */
function areEqual(rewards: readonly number[]): boolean {
  return rewards.length > 1 && rewards.every((reward) => reward === rewards[0]);
}
