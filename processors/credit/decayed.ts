import { relativeToMean, spreadParameters } from "./baseline.ts";
import type { Strategy } from "./strategy.ts";
import { turnsOf } from "./turns.ts";

/**
 * The final reward, fading towards the start: A_{i,t} = γ^{T−t}·A_i over turns t = 1 … T, with A_i
 * the rollout's advantage over its group as in `group-relative`, or R_i itself with `baseline` =
 * none. The return is γ^{T−t}·R_i. With γ = 1 it is `group-relative` or `final-reward`.
 * (The discounted return of one terminal reward: Sutton and Barto, "Reinforcement Learning", 2nd
 * ed., eq. 3.8.)
 */
export const decayed: Strategy = {
  name: "decayed",
  doc: "the group-relative advantage, gamma less for each turn before the last",
  parameters: {
    gamma: { default: 0.95, min: 0, max: 1, doc: "Factor per turn before the last." },
    ...spreadParameters,
  },
  options: {
    baseline: {
      default: "group",
      allowed: ["group", "none"],
      doc: "group: rewards are taken relative to the group's; none: as they are.",
    },
  },
  needsGroup: ({ baseline }) => baseline !== "none",
  assign: (members, parameters, { baseline }) => {
    const { gamma = 0.95 } = parameters;
    const rewards = members.map(({ reward }) => reward);
    const outcomes = baseline === "none" ? rewards : relativeToMean(rewards, parameters);
    return members.map((member, i) => {
      const factors = new Array<number>(member.steps.length).fill(1);
      const turns = turnsOf(member);
      for (const [t, turn] of turns.entries()) {
        for (const step of turn) factors[step] = gamma ** (turns.length - 1 - t);
      }
      return {
        returns: factors.map((factor) => factor * member.reward),
        advantages: factors.map((factor) => factor * (outcomes[i] ?? 0)),
      };
    });
  },
};
