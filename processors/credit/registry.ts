import { LightningError } from "../../schemas/errors.ts";
import type { Credit } from "../../schemas/types.ts";
import { discounted } from "./discounted.ts";
import { finalReward } from "./final-reward.ts";
import { groupRelative } from "./group-relative.ts";
import { leaveOneOut } from "./leave-one-out.ts";
import type { Strategy } from "./strategy.ts";

/** Every credit strategy; to add one, write its file and a line here. */
export const strategies: readonly Strategy[] = [
  finalReward,
  discounted,
  groupRelative,
  leaveOneOut,
];

export type ChosenStrategy = {
  readonly strategy: Strategy;
  readonly parameters: Record<string, number>;
};

/**
 * The strategy a rollout asks for, with defaults filled in. Throws `record-invalid` for a name or a
 * parameter that does not exist or is out of range, saying what is allowed.
 */
export function strategyOf(credit: Credit): ChosenStrategy {
  const strategy = strategies.find(({ name }) => name === credit.strategy);
  if (strategy === undefined) {
    const names = strategies.map(({ name }) => name).join(", ");
    throw invalid(`credit.strategy: read ${credit.strategy}, allowed are ${names}`);
  }
  const declared = strategy.parameters;
  for (const [name, value] of Object.entries(credit.parameters)) {
    const parameter = Object.hasOwn(declared, name) ? declared[name] : undefined;
    if (parameter === undefined) {
      const names = Object.keys(declared).join(", ") || "none";
      throw invalid(`credit.parameters.${name}: ${strategy.name} has no such one, only ${names}`);
    }
    if (!(value >= parameter.min && value <= parameter.max)) {
      const range = `${parameter.min} to ${parameter.max}`;
      throw invalid(`credit.parameters.${name}: read ${value}, allowed is ${range}`);
    }
  }
  const defaults = Object.entries(declared).map(([name, parameter]) => [name, parameter.default]);
  return { strategy, parameters: { ...Object.fromEntries(defaults), ...credit.parameters } };
}

function invalid(message: string): LightningError {
  return new LightningError("record-invalid", message);
}
