import type { Tagged } from "../../schemas/records.ts";
import { type ChosenStrategy, strategyOf } from "./registry.ts";
import { type Closing, closedOf, omittedOf, type Shared, transitionsOf } from "./rows.ts";
import {
  creditOf,
  inOrder,
  memberOf,
  type Sampled,
  samplesOf,
  type WholeMember,
} from "./sampling.ts";
import type { Assigned, Withheld } from "./strategy.ts";

export type Credited = "TransitionRecorded" | "CallOmitted" | "GroupClosed";

/**
 * The transitions of a group, why some of its steps give none, and its closing record, in a fixed
 * order (rollout id, step). `answer` is what an external strategy assigned to the samples, in that
 * order; without one it falls back.
 */
export function creditGroup(
  members: readonly WholeMember[],
  key: string,
  closing: Closing,
  answer: readonly Assigned[] | null = null,
): Tagged<Credited>[] {
  const ordered = inOrder(members);
  const chosen = strategyOf(creditOf(ordered));
  const sampled = samplesOf(ordered, chosen.options);
  const { samples } = sampled;
  const assigned =
    answer ?? chosen.strategy.assign(samples.map(memberOf), chosen.parameters, chosen.options);
  const reasons = withheldOf(sampled, assigned, closing, chosen, answer !== null);
  const credit = creditUsed(chosen, answer !== null);
  const shared: Shared = {
    group_size: closing.groupSize,
    group_members: samples.length,
    credit,
    revision: closing.revision,
  };
  const transitions = samples.flatMap((member, i) =>
    reasons.has(member) ? [] : transitionsOf(member, assigned[i], shared),
  );
  const omitted = ordered.flatMap((member) => {
    const reason = reasons.get(member);
    return reason === undefined ? [] : omittedOf(member, reason, closing.revision);
  });
  const equalRewards = areEqual(samples);
  const written = { transitions, withheld: omitted.length, equalRewards, credit };
  return [
    ...transitions.map((value) => ({ type: "TransitionRecorded" as const, value })),
    ...omitted.map((value) => ({ type: "CallOmitted" as const, value })),
    { type: "GroupClosed", value: closedOf(ordered, written, key, closing) },
  ];
}

/** Members whose steps give no transitions, and why. */
function withheldOf(
  { samples, failed }: Sampled,
  assigned: readonly Assigned[],
  { groupSize }: Closing,
  { strategy, options }: ChosenStrategy,
  answered: boolean,
): Map<WholeMember, Withheld> {
  const reasons = new Map<WholeMember, Withheld>(
    failed.map((member) => [member, failedReason(member)]),
  );
  const computed = strategy.fallback?.(options) ?? strategy;
  const whole = equalReason(samples, options.equal_rewards === "withhold");
  const lonely = !answered && computed.needsGroup(options) && samples.length === 1 && groupSize > 1;
  for (const [i, member] of samples.entries()) {
    const reason = whole ?? (lonely ? lonelyReason(groupSize, computed.name) : undefined);
    const own = reason ?? assigned[i]?.withheld ?? overflowReason(assigned[i], computed.name);
    if (own !== undefined) reasons.set(member, own);
  }
  return reasons;
}

function failedReason({ rollout }: WholeMember): Withheld {
  const detail = `status: read ${rollout.status}, credit.options.failed = exclude trains succeeded`;
  return { reason: "failed-rollout", detail };
}

function equalReason(samples: readonly WholeMember[], withhold: boolean): Withheld | undefined {
  if (!withhold || !areEqual(samples)) return undefined;
  const reward = samples[0]?.rollout.reward ?? 0;
  const detail = `all ${samples.length} rewards are ${reward}, credit.options.equal_rewards = withhold`;
  return { reason: "equal-rewards", detail };
}

function lonelyReason(groupSize: number, strategy: string): Withheld {
  const detail = `1 of ${groupSize} rollouts can be compared, ${strategy} needs at least 2`;
  return { reason: "group-incomplete", detail };
}

/** Finite rewards may be so large that their differences are not; no trainer could read such a row. */
function overflowReason(assigned: Assigned | undefined, strategy: string): Withheld | undefined {
  const numbers = [...(assigned?.returns ?? []), ...(assigned?.advantages ?? [])];
  const wrong = numbers.find((value) => !Number.isFinite(value));
  if (wrong === undefined) return undefined;
  return { reason: "not-finite", detail: `${strategy} gave ${wrong}: the rewards are too large` };
}

function creditUsed({ strategy, parameters, options }: ChosenStrategy, answered: boolean) {
  const used = answered ? "external" : "fallback";
  return {
    strategy: strategy.name,
    parameters,
    options: strategy.fallback === undefined ? options : { ...options, used },
  };
}

/** Equal final rewards of two or more; a group of one is compared with nobody. */
function areEqual(samples: readonly WholeMember[]): boolean {
  const [first, ...others] = samples.map(({ rollout }) => rollout.reward ?? 0);
  return others.length > 0 && others.every((reward) => reward === first);
}
