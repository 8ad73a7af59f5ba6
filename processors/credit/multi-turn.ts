import { relativeToMean, relativeWithinParts, spreadParameters } from "./baseline.ts";
import type { Strategy } from "./strategy.ts";
import { turnRewardsOf, turnsOf } from "./turns.ts";

/**
 * MT-GRPO: A_t = A^turn_t + λ·A^outcome for every turn before the last, A^outcome for the last. Both
 * are normalised over the group: A^outcome over the rollouts' final rewards, A^turn_t over the
 * rewards of turn number t of the rollouts for which t is not the last; a turn number only one of
 * several rollouts reached is compared with nobody and adds 0. A turn without a reward counts 0.
 * Without turn rewards and with λ = 1 this is `group-relative`. The return is the final reward.
 * (Zeng et al., "Reinforcing Multi-Turn Reasoning in LLM Agents via Turn-Level Credit Assignment",
 * arXiv:2505.11821, which has two turns; here any number.)
 */
export const multiTurn: Strategy = {
  name: "multi-turn",
  doc: "MT-GRPO: the outcome and each turn's reward, each against the group",
  parameters: {
    lambda: {
      default: 1,
      min: 0,
      max: 100,
      doc: "Weight of the outcome in turns before the last.",
    },
    ...spreadParameters,
  },
  options: {},
  needsGroup: () => true,
  assign: (members, parameters) => {
    const { lambda = 1 } = parameters;
    const outcomes = relativeToMean(
      members.map(({ reward }) => reward),
      parameters,
    );
    const early = members.flatMap((member, i) => {
      const turns = turnsOf(member);
      const rewards = turnRewardsOf(member, turns);
      return turns.slice(0, -1).map((steps, t) => ({ i, t, steps, reward: rewards[t] ?? 0 }));
    });
    const relative = relativeWithinParts(
      early.map(({ t }) => String(t)),
      early.map(({ reward }) => reward),
      parameters,
      members.length === 1,
    );
    const advantages = members.map(({ steps }, i) => steps.map(() => outcomes[i] ?? 0));
    for (const [k, { i, steps }] of early.entries()) {
      const advantage = (relative[k] ?? 0) + lambda * (outcomes[i] ?? 0);
      const own = advantages[i];
      if (own !== undefined) for (const step of steps) own[step] = advantage;
    }
    return members.map((member, i) => ({
      returns: member.steps.map(() => member.reward),
      advantages: advantages[i] ?? [],
    }));
  },
};
