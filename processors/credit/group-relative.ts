import { relativeToMean, spreadParameters } from "./baseline.ts";
import { byMember, type Strategy, toAllSteps } from "./strategy.ts";

/**
 * GRPO's outcome advantage over the K rollouts of a group, the same for every step:
 * A_i = (R_i − mean) / (std + ε), std the sample deviation (n − 1), as in verl
 * (Shao et al., "DeepSeekMath", arXiv:2402.03300, 4.1.2). With `std` = 0 it is not divided, which
 * is Dr. GRPO (Liu et al., arXiv:2503.20783). A group of one has mean 0 and std 1, as in verl, so
 * that a rollout without a group still learns from its reward. Advantages of two or more sum to 0.
 *
 * With `level` = step mean and deviation are taken over all steps of the group, each with its
 * rollout's reward: then the advantages of all steps sum to 0 and a long rollout weighs more, which
 * is what trainers do that see only rows.
 */
export const groupRelative: Strategy = {
  name: "group-relative",
  doc: "GRPO: the final reward against its group, over the deviation (std 0: Dr. GRPO)",
  parameters: spreadParameters,
  options: {
    level: {
      default: "rollout",
      allowed: ["rollout", "step"],
      doc: "What the baseline counts: rollouts, or their steps.",
    },
  },
  needsGroup: () => true,
  assign: (members, parameters, { level }) => {
    if (level !== "step") {
      const relative = relativeToMean(
        members.map(({ reward }) => reward),
        parameters,
      );
      return members.map((member, i) => toAllSteps(member, member.reward, relative[i] ?? 0));
    }
    const rewards = members.flatMap(({ steps, reward }) => steps.map(() => reward));
    const advantages = byMember(members, relativeToMean(rewards, parameters));
    return byMember(members, rewards).map((returns, i) => ({
      returns,
      advantages: advantages[i] ?? [],
    }));
  },
};
