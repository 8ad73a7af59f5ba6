import { meanOf } from "./baseline.ts";
import type { Member } from "./strategy.ts";

/**
 * The turns of a rollout, each a list of step indexes. The choices of one call (same span id) are
 * alternatives of one turn, not turns after one another: a rollout's return must not count the
 * reward of each of them.
 */
export function turnsOf({ steps }: Member): number[][] {
  const turns = new Map<string, number[]>();
  for (const [i, { span_id }] of steps.entries()) {
    const turn = turns.get(span_id);
    if (turn === undefined) turns.set(span_id, [i]);
    else turn.push(i);
  }
  return [...turns.values()];
}

/**
 * Reward of each turn: that of its step, the mean over the choices that have one, 0 where there is
 * none. A rollout none of whose steps has a reward gets its final reward at its last turn.
 */
export function turnRewardsOf(member: Member, turns: readonly (readonly number[])[]): number[] {
  const { steps, reward } = member;
  const matched = steps.some((step) => step.reward !== null);
  return turns.map((turn, t) => {
    if (!matched) return t === turns.length - 1 ? reward : 0;
    return meanOf(turn.flatMap((i) => steps[i]?.reward ?? []));
  });
}

/**
 * Discounted return-to-go of each step, G = r + γ·V with V the return of the turn after it, where
 * V_t = r_t + γ·V_{t+1} over the turns. A choice with a reward of its own counts that, the others
 * count their turn's.
 */
export function returnsOf(member: Member, gamma: number): number[] {
  const turns = turnsOf(member);
  const rewards = turnRewardsOf(member, turns);
  const returns = new Array<number>(member.steps.length).fill(0);
  let after = 0;
  for (let t = turns.length - 1; t >= 0; t--) {
    const reward = rewards[t] ?? 0;
    for (const i of turns[t] ?? []) {
      const own = member.steps[i]?.reward ?? null;
      const several = (turns[t]?.length ?? 0) > 1;
      returns[i] = (several && own !== null ? own : reward) + gamma * after;
    }
    after = reward + gamma * after;
  }
  return returns;
}
