import { meanOf, type Strategy, sampleStdOf, toAllSteps } from "./strategy.ts";

/**
 * GRPO's outcome advantage over the K rollouts of a group, the same for every step:
 * A_i = (R_i − mean) / (std + ε), std the sample deviation (n − 1), as in verl
 * (Shao et al., "DeepSeekMath", arXiv:2402.03300, 4.1.2). With `std` = 0 it is not divided, which
 * is Dr. GRPO (Liu et al., arXiv:2503.20783). A group of one has mean 0 and std 1, as in verl, so
 * that a rollout without a group still learns from its reward. Advantages of two or more sum to 0.
 */
export const groupRelative: Strategy = {
  name: "group-relative",
  parameters: {
    std: { default: 1, min: 0, max: 1, doc: "1 divides by the standard deviation, 0 does not." },
    epsilon: { default: 1e-6, min: 0, max: 1, doc: "Added to the standard deviation." },
  },
  assign: (members, { std = 1, epsilon = 1e-6 }) => {
    const rewards = members.map((member) => member.reward);
    const deviation = sampleStdOf(rewards);
    const mean = deviation === null ? 0 : meanOf(rewards);
    // Equal rewards with ε = 0: 0 / 0 is meant to be 0.
    const scale = std === 0 ? 1 : (deviation ?? 1) + epsilon || 1;
    return members.map((member) =>
      toAllSteps(member, member.reward, (member.reward - mean) / scale),
    );
  },
};
