import { indexesByPart, relativeWithinParts, spreadParameters } from "./baseline.ts";
import { byMember, type Member, type Strategy } from "./strategy.ts";
import { turnRewardsOf, turnsOf } from "./turns.ts";

/**
 * Role-grouped GRPO: the group of a step is (group, role), the role its agent's name or the policy
 * it trains. R_{i,role} is the sum of the rewards matched to the role's turns in rollout i when any
 * rollout of the group has such a reward, else the rollout's final reward; A is R_{i,role} relative
 * to the rollouts in which the role acted, the same for all its steps. Each role's advantages, one
 * per rollout, sum to 0; a role that acted in one of several rollouts is compared with nobody: 0.
 * With one role and no step rewards this is `group-relative`.
 * (Multi-agent GRPO with a baseline per role, e.g. Liu et al., "LLM Collaboration with Multi-Agent
 * Reinforcement Learning", arXiv:2508.04652.)
 */
export const roleGroups: Strategy = {
  name: "role-groups",
  doc: "group-relative among the calls of the same agent",
  parameters: spreadParameters,
  options: {
    by: {
      default: "agent",
      allowed: ["agent", "policy"],
      doc: "What a role is: the name of the agent, or the policy the call trains.",
    },
    reward: {
      default: "role",
      allowed: ["role", "final"],
      doc: "role: the rewards matched to the role's own steps where there are any; final: always the final reward.",
    },
  },
  needsGroup: () => true,
  assign: (members, parameters, { by, reward }) => {
    const field = by === "policy" ? "policy" : "agent";
    const acted = members.flatMap((member, i) => rolesOf(member, i, field));
    const own = ownRewards(acted, reward === "final");
    const rewards = acted.map((role, k) => own[k] ?? members[role.member]?.reward ?? 0);
    const roles = acted.map(({ name }) => name);
    const relative = relativeWithinParts(roles, rewards, parameters, members.length === 1);
    const returns = members.flatMap(({ steps }) => steps.map(() => 0));
    const advantages = [...returns];
    const starts = startsOf(members);
    for (const [k, { member, steps }] of acted.entries()) {
      for (const step of steps) {
        returns[(starts[member] ?? 0) + step] = rewards[k] ?? 0;
        advantages[(starts[member] ?? 0) + step] = relative[k] ?? 0;
      }
    }
    const credited = byMember(members, advantages);
    return byMember(members, returns).map((given, i) => ({
      returns: given,
      advantages: credited[i] ?? [],
    }));
  },
};

/** A role in one rollout: its steps there and the sum of its rewards, null when it has none. */
type Acted = {
  readonly name: string;
  readonly member: number;
  readonly steps: readonly number[];
  readonly reward: number | null;
};

function rolesOf(member: Member, index: number, field: "agent" | "policy"): Acted[] {
  const names = member.steps.map((step) => step[field]);
  return [...indexesByPart(names)].map(([name, steps]) => {
    const part = { ...member, reward: 0, steps: steps.flatMap((i) => member.steps[i] ?? []) };
    const matched = part.steps.some(({ reward }) => reward !== null);
    const rewards = matched ? turnRewardsOf(part, turnsOf(part)) : [];
    const reward = matched ? rewards.reduce((sum, value) => sum + value, 0) : null;
    return { name, member: index, steps, reward };
  });
}

/** The role rewards, 0 for a rollout that has none beside ones that have; null: use the final one. */
function ownRewards(acted: readonly Acted[], never: boolean): (number | null)[] {
  const rewarded = new Set(acted.flatMap(({ name, reward }) => (reward === null ? [] : [name])));
  return acted.map(({ name, reward }) => (!never && rewarded.has(name) ? (reward ?? 0) : null));
}

function startsOf(members: readonly Member[]): number[] {
  let at = 0;
  return members.map(({ steps }) => {
    at += steps.length;
    return at - steps.length;
  });
}
