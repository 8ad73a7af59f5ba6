import { relativeToMean, relativeWithinParts, spreadParameters } from "./baseline.ts";
import { byMember, type MemberStep, type Strategy } from "./strategy.ts";
import { returnsOf } from "./turns.ts";

/**
 * GiGPO: A = A^E + ω·A^S. A^E is the rollout's advantage over its group as in `group-relative`; A^S
 * is the step's, its discounted return G_t over those of all steps of the group that acted in the
 * same anchor state; a state only one step acted in gives A^S = 0. With all states distinct, or
 * ω = 0, this is `group-relative`; A^S sums to 0 over each state. The return is G_t.
 * (Feng et al., "Group-in-Group Policy Optimization", arXiv:2505.10978.)
 *
 * The anchor state, per agent, is the id the agent gave the state (`lightning.state.id`), else what
 * it saw. Texts are compared whole, so that no two states can collide as hashes could. A step that
 * carries neither id nor messages is compared by its prompt's token ids, without these with nobody.
 */
export const stepGroups: Strategy = {
  name: "step-groups",
  doc: "GiGPO: group-relative, and steps taken in the same state against each other",
  parameters: {
    omega: { default: 1, min: 0, max: 100, doc: "Weight of the step-level advantage." },
    gamma: { default: 0.95, min: 0, max: 1, doc: "Discount per turn of the step's return." },
    ...spreadParameters,
  },
  options: {
    anchor: {
      default: "messages",
      allowed: ["messages", "observation"],
      doc: "What makes a state the same when it has no id: all messages, or only the last one.",
    },
  },
  needsGroup: () => true,
  assign: (members, parameters, { anchor }) => {
    const { omega = 1, gamma = 0.95 } = parameters;
    const episodes = relativeToMean(
      members.map(({ reward }) => reward),
      parameters,
    );
    const returns = members.flatMap((member) => returnsOf(member, gamma));
    const states = members
      .flatMap(({ steps }) => steps)
      .map((step, k) => stateOf(step, anchor === "observation") ?? `nobody ${k}`);
    const steps = byMember(members, relativeWithinParts(states, returns, parameters, false));
    return byMember(members, returns).map((own, i) => ({
      returns: own,
      advantages: own.map((_, t) => (episodes[i] ?? 0) + omega * (steps[i]?.[t] ?? 0)),
    }));
  },
};

function stateOf(step: MemberStep, lastOnly: boolean): string | null {
  if (step.state_id !== null) return `id ${step.agent}\u0000${step.state_id}`;
  const messages = lastOnly ? lastMessageOf(step.messages) : step.messages;
  if (messages !== "[]" && messages !== "") return `messages ${step.agent}\u0000${messages}`;
  if (step.prompt_ids.length === 0) return null;
  return `tokens ${step.agent}\u0000${Buffer.from(step.prompt_ids).toString("latin1")}`;
}

function lastMessageOf(messages: string): string {
  try {
    const read: unknown = JSON.parse(messages);
    return Array.isArray(read) && read.length > 0 ? JSON.stringify(read.at(-1)) : messages;
  } catch {
    // No JSON, no messages to tell apart: the whole text is the observation.
    return messages;
  }
}
