import { noBytes, packInt32 } from "../../schemas/bytes.ts";
import { strategyOf } from "./registry.ts";
import type { Assigned, Member, MemberStep } from "./strategy.ts";

/** Members for tests: valid as they are, each field can be set. */

/** A call of its own, without a reward. */
export function step(span_id: string, fields: Partial<MemberStep> = {}): MemberStep {
  return {
    span_id,
    choice: 0,
    agent: "",
    policy: "",
    messages: `[{"role":"user","content":"${span_id}"}]`,
    prompt_ids: noBytes,
    response_ids: noBytes,
    state_id: null,
    potential: null,
    reward: null,
    ...fields,
  };
}

/** Token ids of a step. */
export function tokens(prompt: readonly number[], response: readonly number[]) {
  return { prompt_ids: packInt32(prompt), response_ids: packInt32(response) };
}

/** A rollout with a final reward; a number or null in `steps` is a step with that reward. */
export function member(
  reward: number,
  steps: readonly (MemberStep | number | null)[],
  fields: Partial<Member> = {},
): Member {
  const rollout_id = fields.rollout_id ?? "r";
  return {
    rollout_id,
    status: "succeeded",
    metadata: "{}",
    reward,
    steps: steps.map((given, t) =>
      typeof given === "number" || given === null
        ? step(`${rollout_id} ${t}`, { reward: given })
        : given,
    ),
    ...fields,
  };
}

/** Rollouts of three steps whose only reward is the final one, matched to the last step. */
export function terminal(...rewards: readonly number[]): Member[] {
  return rewards.map((reward, i) => member(reward, [null, null, reward], { rollout_id: `r${i}` }));
}

/** What a strategy assigns, with its defaults filled in. */
export function assign(
  strategy: string,
  members: readonly Member[],
  parameters: Record<string, number> = {},
  options: Record<string, string> = {},
): readonly Assigned[] {
  const chosen = strategyOf({ strategy, parameters, options });
  return chosen.strategy.assign(members, chosen.parameters, chosen.options);
}

/** The advantages alone, per member. */
export function advantagesOf(...of: Parameters<typeof assign>): (readonly number[])[] {
  return assign(...of).map(({ advantages }) => advantages);
}

/** The advantage of each member's first step. */
export function firstsOf(...of: Parameters<typeof assign>): number[] {
  return assign(...of).map(({ advantages }) => advantages[0] ?? 0);
}

/** The same numbers but for rounding errors of values up to `scale`. */
export function isNear(actual: number, expected: number, scale = 1): boolean {
  return Math.abs(actual - expected) <= 1e-9 * Math.max(1, scale);
}
