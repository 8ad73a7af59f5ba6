import { type Strategy, toAllSteps } from "./strategy.ts";

/**
 * The final reward to every step, no baseline: A_{i,t} = G_{i,t} = R_i.
 * LightningRL's hierarchical credit assignment in its simplest form
 * (Luo et al., "Agent Lightning", arXiv:2508.03680, section 3.3).
 */
export const finalReward: Strategy = {
  name: "final-reward",
  doc: "the final reward to every step, without a baseline",
  parameters: {},
  options: {},
  needsGroup: () => false,
  assign: (members) => members.map((member) => toAllSteps(member, member.reward, member.reward)),
};
