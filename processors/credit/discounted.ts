import type { Strategy } from "./strategy.ts";

/**
 * Discounted return-to-go: G_t = r_t + γ·G_{t+1}, A_t = G_t, with r_t the reward matched to step t
 * (0 where there is none). A rollout none of whose steps has a reward gets its final reward at its
 * last step. With γ = 1 and one terminal reward this is `final-reward`.
 * (Sutton and Barto, "Reinforcement Learning", 2nd ed., eq. 3.9; over the turns of an agent e.g.
 * Kevin, arXiv:2507.11948.)
 */
export const discounted: Strategy = {
  name: "discounted",
  parameters: {
    gamma: { default: 0.95, min: 0, max: 1, doc: "Discount per step." },
  },
  assign: (members, { gamma = 0.95 }) =>
    members.map(({ stepRewards, reward }) => {
      const matched = stepRewards.some((given) => given !== null);
      const last = stepRewards.length - 1;
      const returns = new Array<number>(stepRewards.length).fill(0);
      let after = 0;
      for (let t = last; t >= 0; t--) {
        const terminal = !matched && t === last ? reward : 0;
        after = (stepRewards[t] ?? terminal) + gamma * after;
        returns[t] = after;
      }
      return { returns, advantages: returns };
    }),
};
