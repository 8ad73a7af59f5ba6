import type { SpanKept } from "../../schemas/types.ts";
import type { Selection } from "./selection.ts";

/**
 * What a reward is worth: the weighted sum of its dimensions, of which the first is known by its
 * name and as `primary`, by one of them; one it does not have counts 0. Without weights the primary one alone.
 */
export function weigh(
  { reward, reward_name, rewards }: Pick<SpanKept, "reward" | "reward_name" | "rewards">,
  weights: Selection["reward_weights"],
): number {
  const named = Object.entries(weights);
  if (named.length === 0) return reward ?? 0;
  const first = Object.hasOwn(weights, reward_name) ? reward_name : "primary";
  return sum(
    named.map(([name, weight]) => {
      if (name === first) return weight * (reward ?? 0);
      return Object.hasOwn(rewards, name) ? weight * (rewards[name] ?? 0) : 0;
    }),
  );
}

/** The sum of what several rewards of one call are worth; null when there are none. */
export function weighAll(
  spans: readonly SpanKept[],
  weights: Selection["reward_weights"],
): number | null {
  return spans.length === 0 ? null : sum(spans.map((span) => weigh(span, weights)));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
