import { meanOf } from "./baseline.ts";
import type { Member, MemberStep, Strategy } from "./strategy.ts";
import {
  addSequence,
  branchAbove,
  countRollout,
  createTokenTree,
  nodeAt,
  type TokenNode,
  tokensOf,
} from "./token-tree.ts";

/**
 * Tree advantage: A = V(child) − V(parent), V of a prefix of token ids the mean final reward of the
 * rollouts of the group that share it. The child is the prefix that ends with the step's action, the
 * parent the state before it; where the same rollouts share both, the action decided nothing one
 * can see, and the parent is the longest prefix more rollouts share: all steps of an unbranched
 * stretch get what its branching was worth. So the advantages of the stretches of a rollout sum to
 * R_i − mean, those below a branching, weighted by their rollouts, to 0, and without a branching
 * behind the first prompt this is Dr. GRPO (`group-relative` with std 0). Steps without token ids
 * get R_i − mean; a group of one is compared with nobody: A = R. The return is R_i.
 * (Ji et al., "Tree Search for LLM Agent Reinforcement Learning", arXiv:2509.21240; Hou et al.,
 * "TreeRL", arXiv:2506.11902.)
 */
export const tree: Strategy = {
  name: "tree",
  doc: "the mean outcome below a branch less that above it, over shared token prefixes",
  parameters: {},
  options: {},
  needsGroup: () => true,
  assign: (members) => {
    // Values relative to the mean, so that equal rewards give exactly 0 and no rounding error.
    const mean = members.length < 2 ? 0 : meanOf(members.map(({ reward }) => reward));
    const root = treeOf(members, mean);
    return members.map((member) => ({
      returns: member.steps.map(() => member.reward),
      advantages: member.steps.map((step) =>
        members.length < 2 ? member.reward : advantageOf(step, root, member.reward - mean),
      ),
    }));
  },
};

function treeOf(members: readonly Member[], mean: number): TokenNode {
  const root = createTokenTree();
  for (const [i, { steps, reward }] of members.entries()) {
    countRollout(root, i, reward - mean);
    for (const step of steps) addSequence(root, tokensOf(step), i, reward - mean);
  }
  return root;
}

function advantageOf(step: MemberStep, root: TokenNode, otherwise: number): number {
  const tokens = tokensOf(step);
  if (tokens.length === 0) return otherwise;
  const state = nodeAt(root, tokens, step.prompt_ids.length / 4);
  const child = nodeAt(state, tokens, tokens.length);
  const parent = state.rollouts > child.rollouts ? state : branchAbove(state);
  return parent === null ? 0 : worthOf(child) - worthOf(parent);
}

function worthOf({ sum, rollouts }: TokenNode): number {
  return sum / rollouts;
}
