import { type RolloutTurns, type Turn, turnOf } from "./turn.ts";

/** A turn for tests; log-probs as given, or none. */
export function turn(
  prompt: readonly number[],
  response: readonly number[],
  logprobs: readonly number[] | null = null,
): Turn {
  return turnOf("turn", prompt, response, logprobs);
}

/** A rollout of these turns with reward 1. */
export function rolloutOf(
  turns: readonly Turn[],
  fields: Partial<RolloutTurns> = {},
): RolloutTurns {
  return { rollout_id: "ro", data_id: "d", reward: 1, turns, ...fields };
}
