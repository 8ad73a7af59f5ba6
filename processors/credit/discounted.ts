import { relativeToMean, spreadParameters } from "./baseline.ts";
import { byMember, type Strategy } from "./strategy.ts";
import { returnsOf } from "./turns.ts";

/**
 * Discounted return-to-go: G_t = r_t + γ·G_{t+1}, A_t = G_t, with r_t the reward matched to turn t
 * (0 where there is none). A rollout none of whose steps has a reward gets its final reward at its
 * last turn. With γ = 1 and one terminal reward this is `final-reward`. With `baseline` = group,
 * A_t is G_t relative to the returns of all steps of the group, which then sum to 0.
 * (Sutton and Barto, "Reinforcement Learning", 2nd ed., eq. 3.9; over the turns of an agent, and
 * normalised over the group, e.g. Kevin, arXiv:2507.11948.)
 */
export const discounted: Strategy = {
  name: "discounted",
  doc: "return-to-go: what comes later counts gamma less per turn",
  parameters: {
    gamma: { default: 0.95, min: 0, max: 1, doc: "Discount per turn." },
    ...spreadParameters,
  },
  options: {
    baseline: {
      default: "none",
      allowed: ["none", "group"],
      doc: "group: returns are taken relative to those of all steps of the group; none: as they are.",
    },
  },
  needsGroup: ({ baseline }) => baseline === "group",
  assign: (members, parameters, { baseline }) => {
    const { gamma = 0.95 } = parameters;
    const returns = members.map((member) => returnsOf(member, gamma));
    if (baseline !== "group") return returns.map((own) => ({ returns: own, advantages: own }));
    const advantages = byMember(members, relativeToMean(returns.flat(), parameters));
    return returns.map((own, i) => ({ returns: own, advantages: advantages[i] ?? [] }));
  },
};
