import { LightningError } from "../../schemas/errors.ts";
import type { Credit } from "../../schemas/types.ts";
import { decayed } from "./decayed.ts";
import { differenceReward } from "./difference-reward.ts";
import { discounted } from "./discounted.ts";
import { externalOf } from "./external.ts";
import { finalReward } from "./final-reward.ts";
import { globalNormalised } from "./global-normalised.ts";
import { groupRelative } from "./group-relative.ts";
import { leaveOneOut } from "./leave-one-out.ts";
import { multiTurn } from "./multi-turn.ts";
import { potentialShaping } from "./potential-shaping.ts";
import { roleGroups } from "./role-groups.ts";
import { stepGroups } from "./step-groups.ts";
import {
  type Option,
  type Options,
  type Parameter,
  type Parameters,
  type Strategy,
  sharedOptions,
} from "./strategy.ts";
import { tree } from "./tree.ts";
import { turnReward } from "./turn-reward.ts";

/** Every credit strategy the pipeline computes itself; to add one, write its file and a line here. */
const computed: readonly Strategy[] = [
  finalReward,
  discounted,
  decayed,
  turnReward,
  groupRelative,
  leaveOneOut,
  globalNormalised,
  multiTurn,
  stepGroups,
  roleGroups,
  tree,
  potentialShaping,
  differenceReward,
];

/** Every credit strategy. */
export const strategies: readonly Strategy[] = [...computed, externalOf(computed)];

export type ChosenStrategy = {
  readonly strategy: Strategy;
  /** With defaults filled in. */
  readonly parameters: Record<string, number>;
  readonly options: Record<string, string>;
};

/**
 * The strategy a rollout asks for, with defaults filled in. Throws `record-invalid` for a name, a
 * parameter or an option that does not exist or is out of range, saying what is allowed.
 */
export function strategyOf(credit: Credit): ChosenStrategy {
  const strategy = strategies.find(({ name }) => name === credit.strategy);
  if (strategy === undefined) {
    const names = strategies.map(({ name }) => name).join(", ");
    throw invalid(`credit.strategy`, `read ${credit.strategy}, allowed are ${names}`);
  }
  const own = { ...sharedOptions, ...strategy.options };
  const fallback = strategy.fallback?.({ ...defaultsOf(own), ...credit.options });
  const options = { ...fallback?.options, ...own };
  checkOptions(strategy.name, options, credit.options);
  const parameters = { ...fallback?.parameters, ...strategy.parameters };
  checkParameters(strategy.name, parameters, credit.parameters);
  return {
    strategy,
    parameters: { ...defaultsOf(parameters), ...credit.parameters },
    options: { ...defaultsOf(options), ...credit.options },
  };
}

function checkParameters(
  strategy: string,
  declared: Readonly<Record<string, Parameter>>,
  given: Parameters,
): void {
  for (const [name, value] of Object.entries(given)) {
    const parameter = Object.hasOwn(declared, name) ? declared[name] : undefined;
    if (parameter === undefined) {
      const names = Object.keys(declared).join(", ") || "none";
      throw invalid(`credit.parameters.${name}`, `${strategy} has no such one, only ${names}`);
    }
    if (!(value >= parameter.min && value <= parameter.max)) {
      const range = `${parameter.min} to ${parameter.max}`;
      throw invalid(`credit.parameters.${name}`, `read ${value}, allowed is ${range}`);
    }
  }
}

/** Longest text of an option without a list of allowed ones, UTF-16 code units. */
const longestOption = 1000;

function checkOptions(
  strategy: string,
  declared: Readonly<Record<string, Option>>,
  given: Options,
): void {
  for (const [name, value] of Object.entries(given)) {
    const option = Object.hasOwn(declared, name) ? declared[name] : undefined;
    if (option === undefined) {
      const names = Object.keys(declared).join(", ");
      throw invalid(`credit.options.${name}`, `${strategy} has no such one, only ${names}`);
    }
    if (option.allowed !== null && !option.allowed.includes(value)) {
      const names = option.allowed.join(", ");
      throw invalid(`credit.options.${name}`, `read ${value}, allowed are ${names}`);
    }
    if (value.length > longestOption) {
      const read = `read ${value.length} characters`;
      throw invalid(`credit.options.${name}`, `${read}, allowed are ${longestOption}`);
    }
  }
}

function defaultsOf<T>(
  declared: Readonly<Record<string, { readonly default: T }>>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(declared).map(([name, { default: value }]) => [name, value]),
  );
}

function invalid(field: string, what: string): LightningError {
  return new LightningError("record-invalid", `${field}: ${what}`, { field });
}
