import { relativeWithinParts, spreadParameters } from "./baseline.ts";
import { byMember, type Member, type Strategy } from "./strategy.ts";
import { returnsOf, turnsOf } from "./turns.ts";

/**
 * Each step its own reward: G_t = r_t, and A_t = r_t or, with `baseline` = turn, r_t relative to the
 * rewards of the same turn number in the group (Σ A = 0 over each turn number; biased, since turns
 * of one number act in different states). A step without a reward counts as 0, or with `missing` =
 * final as its rollout's final reward; a rollout none of whose steps has one gets its final reward
 * at its last turn. It is `discounted` with γ = 0.
 * (Turn-level rewards as in Zeng et al., "Reinforcing Multi-Turn Reasoning", arXiv:2505.11821,
 * without the outcome term.)
 */
export const turnReward: Strategy = {
  name: "turn-reward",
  doc: "to each step the reward matched to it alone",
  parameters: spreadParameters,
  options: {
    missing: {
      default: "zero",
      allowed: ["zero", "final"],
      doc: "What a step without a reward counts as: 0, or the final reward of its rollout.",
    },
    baseline: {
      default: "none",
      allowed: ["none", "turn"],
      doc: "turn: relative to the same turn number of the group's rollouts; none: as it is.",
    },
  },
  needsGroup: ({ baseline }) => baseline === "turn",
  assign: (members, parameters, { missing, baseline }) => {
    const rewards = members.flatMap((member) =>
      missing === "final"
        ? member.steps.map(({ reward }) => reward ?? member.reward)
        : returnsOf(member, 0),
    );
    const turns = members.flatMap(turnNumbersOf);
    const alone = members.length === 1;
    const relative =
      baseline === "turn" ? relativeWithinParts(turns, rewards, parameters, alone) : rewards;
    const advantages = byMember(members, relative);
    return byMember(members, rewards).map((returns, i) => ({
      returns,
      advantages: advantages[i] ?? [],
    }));
  },
};

function turnNumbersOf(member: Member): string[] {
  const numbers = member.steps.map(() => "");
  for (const [t, turn] of turnsOf(member).entries()) {
    for (const step of turn) numbers[step] = String(t);
  }
  return numbers;
}
