import type { Credit, RolloutAssembled, StepRecorded } from "../../schemas/types.ts";
import type { Member, Options } from "./strategy.ts";

/** A rollout of the group with all its steps, in order. */
export type WholeMember = {
  readonly rollout: RolloutAssembled;
  readonly steps: readonly StepRecorded[];
};

/** Members by rollout id: the order of everything that is written, however their records came. */
export function inOrder(members: readonly WholeMember[]): WholeMember[] {
  return members.toSorted((a, b) => (a.rollout.rollout_id < b.rollout.rollout_id ? -1 : 1));
}

/** What a group without any member is closed with. */
const noCredit: Credit = { strategy: "final-reward", parameters: {}, options: {} };

/** Members should agree; when they do not, the one that ended first decides, then the rollout id. */
export function creditOf(members: readonly WholeMember[]): Credit {
  const [first] = members.toSorted(
    ({ rollout: a }, { rollout: b }) =>
      a.ended_at - b.ended_at || (a.rollout_id < b.rollout_id ? -1 : 1),
  );
  return first?.rollout.credit ?? noCredit;
}

/** Who has a part in the baseline, and who is left out because it failed. */
export type Sampled = {
  readonly samples: readonly WholeMember[];
  readonly failed: readonly WholeMember[];
};

/**
 * A member that neither took a step nor has a reward (cancelled in the queue, say) is no sample of
 * the policy: it is a member but has no part in the baseline. With `failed` = exclude the same holds
 * for every rollout that did not succeed.
 */
export function samplesOf(members: readonly WholeMember[], options: Options): Sampled {
  const acted = members.filter(({ rollout, steps }) => steps.length > 0 || rollout.reward !== null);
  if (options.failed !== "exclude") return { samples: acted, failed: [] };
  const succeeded = ({ rollout }: WholeMember) => rollout.status === "succeeded";
  return { samples: acted.filter(succeeded), failed: acted.filter((one) => !succeeded(one)) };
}

/** As a strategy sees it; without a reward it counts as 0, the reference's fill value. */
export function memberOf({ rollout, steps }: WholeMember): Member {
  const { rollout_id, status, metadata, reward } = rollout;
  return { rollout_id, status, metadata, reward: reward ?? 0, steps };
}
