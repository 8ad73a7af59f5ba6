import { meanOf } from "./baseline.ts";
import { metadataField } from "./metadata.ts";
import { type Assigned, type Member, type Strategy, toAllSteps } from "./strategy.ts";

/**
 * Difference rewards: a step of agent a gets D_a = R_i − mean R of the group's rollouts without a
 * (Wolpert and Tumer, "Optimal payoff functions for members of collectives", 2001). A rollout is
 * such a counterfactual when its metadata says `{"counterfactual": {"without": "<agent>"}}`: it ran
 * with that agent left out or replaced by a default. Counterfactual rollouts only measure, they give
 * no transitions. An agent nobody was run without is compared with the mean of the factual rollouts
 * (A = R_i − mean, as Dr. GRPO), a factual rollout alone with nobody (A = R). The return is R_i.
 */
export const differenceReward: Strategy = {
  name: "difference-reward",
  doc: "what a rollout earned less what it earned without the agent, from counterfactual rollouts",
  parameters: {},
  options: {},
  needsGroup: () => true,
  assign: (members) => {
    const left = members.map(leftOut);
    const factual = members.filter((_, i) => left[i] === null);
    const otherwise = factual.length < 2 ? 0 : meanOf(factual.map(({ reward }) => reward));
    const without = baselines(members, left);
    return members.map((member, i) => {
      const agent = left[i] ?? null;
      if (agent !== null) return measured(member, agent);
      return {
        returns: member.steps.map(() => member.reward),
        advantages: member.steps.map(
          (step) => member.reward - (without.get(step.agent) ?? otherwise),
        ),
      };
    });
  },
};

/** The agent a rollout was run without; null when it is no counterfactual. */
function leftOut(member: Member): string | null {
  const counterfactual = metadataField(member, "counterfactual");
  if (typeof counterfactual !== "object" || counterfactual === null) return null;
  if (!("without" in counterfactual)) return null;
  return typeof counterfactual.without === "string" ? counterfactual.without : null;
}

function baselines(
  members: readonly Member[],
  left: readonly (string | null)[],
): Map<string, number> {
  const rewards = new Map<string, number[]>();
  for (const [i, agent] of left.entries()) {
    if (agent === null) continue;
    const given = rewards.get(agent) ?? [];
    given.push(members[i]?.reward ?? 0);
    rewards.set(agent, given);
  }
  return new Map([...rewards].map(([agent, values]) => [agent, meanOf(values)]));
}

function measured(member: Member, agent: string): Assigned {
  const detail = `metadata.counterfactual: the rollout ran without ${agent} and only measures it`;
  return {
    ...toAllSteps(member, member.reward, 0),
    withheld: { reason: "counterfactual", detail },
  };
}
