import { meanOf } from "./baseline.ts";
import { type Strategy, toAllSteps } from "./strategy.ts";

/**
 * RLOO: each rollout against the mean of the others of its group, the same for every step:
 * A_i = R_i − (Σ_{j≠i} R_j) / (K − 1) = K/(K−1) · (R_i − mean)
 * (Ahmadian et al., "Back to Basics", arXiv:2402.14740, eq. 8). A group of one has no others:
 * A = R. Advantages of two or more sum to 0.
 */
export const leaveOneOut: Strategy = {
  name: "leave-one-out",
  doc: "RLOO: the final reward against the mean of the others of its group",
  parameters: {},
  options: {},
  needsGroup: () => true,
  assign: (members) => {
    const k = members.length;
    const mean = k === 1 ? 0 : meanOf(members.map((member) => member.reward));
    const scale = k === 1 ? 1 : k / (k - 1);
    return members.map((member) =>
      toAllSteps(member, member.reward, scale * (member.reward - mean)),
    );
  },
};
