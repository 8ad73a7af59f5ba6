import type { SpanRecorded } from "../../schemas/types.ts";
import { objectOf, parsed, textOf } from "./attributes.ts";
import { itemsOf, nestedAt } from "./nested.ts";

export type RewardReading = {
  /** Primary reward, finite; null when the span is none. */
  readonly reward: number | null;
  /** What its sender calls the primary one; empty when it has no name. */
  readonly name: string;
  /** The other named dimensions. */
  readonly rewards: Readonly<Record<string, number>>;
  /** True: a value was not a finite number and is left out. */
  readonly invalid: boolean;
};

type RewardConvention = {
  /** Attributes of which one, under its name or below it, is there where the convention is used. */
  readonly attributes: readonly string[];
  /** Dimensions a span carries, the primary one first; null: the convention is not used here. */
  readonly read: (span: SpanRecorded) => readonly Dimension[] | null;
};
type Dimension = { readonly name: string; readonly value: unknown };

/** What a span without a reward carries. */
export const noReward: RewardReading = { reward: null, name: "", rewards: {}, invalid: false };

/** Where rewards of this convention stand, by index. */
const rewardPrefix = "agentlightning.reward";

/**
 * How rewards are written; the first row that is used on a span counts
 * (reference/v0.3-behaviour.md, 1.3; the last row: reference/v1.0.md, 1.5).
 */
export const rewardConventions: readonly RewardConvention[] = [
  {
    // agentlightning.reward.<i>.name / .value, since v0.3
    attributes: [rewardPrefix],
    read: (span) => {
      if (!hasRewardAttribute(span)) return null;
      const items = itemsOf(nestedAt(span, rewardPrefix)).map((item) => objectOf(item) ?? {});
      const dimensions = items.map(({ name, value }) => ({ name: String(name ?? ""), value }));
      return dimensions.length === 0 ? null : dimensions;
    },
  },
  // AgentOps operations whose output is {"type": "reward", "value": x}
  agentOpsOutput("agentops.task.output"),
  agentOpsOutput("agentops.entity.output"),
  {
    // 0.1 and 0.2 emitted agentlightning.reward, 0.3 reads it as an annotation: a bare attribute
    attributes: ["reward"],
    read: (span) => (bareRewardNames.has(span.name) ? bareReward(span, "reward") : null),
  },
  {
    // 1.0: the event's data, field by field; there a truth value is no reward
    attributes: ["value"],
    read: (span) => {
      const dimensions = span.name === "reward" ? bareReward(span, "value") : null;
      return typeof dimensions?.[0]?.value === "boolean" ? null : dimensions;
    },
  },
];

const bareRewardNames: ReadonlySet<string> = new Set([
  "agentlightning.annotation",
  "agentlightning.reward",
]);

/** Attributes of which a span that carries a reward has one, under its name or below it. */
export const rewardAttributes: readonly string[] = rewardConventions.flatMap(
  ({ attributes }) => attributes,
);

/** The reward a span carries. Booleans count as 0 and 1, as in the reference; text never counts. */
export function readReward(span: SpanRecorded): RewardReading {
  for (const convention of rewardConventions) {
    const dimensions = convention.read(span);
    if (dimensions !== null) return readingOf(dimensions);
  }
  return noReward;
}

/** True for a span that wraps the computation of a reward: calls below it are the judge's. */
export function isRewardScope(span: SpanRecorded): boolean {
  return (
    span.name === "agentlightning.operation" &&
    textOf(span, ["agentlightning.operation.name"]) === "agentlightning.reward"
  );
}

function readingOf(dimensions: readonly Dimension[]): RewardReading {
  const [primary, ...others] = dimensions.map(({ name, value }) => ({
    name,
    value: toNumber(value),
  }));
  const invalid = [primary, ...others].some((dimension) => Number.isNaN(dimension?.value));
  if (primary === undefined || primary.value === null || Number.isNaN(primary.value)) {
    return { ...noReward, invalid };
  }
  const finite = others.flatMap(({ name, value }): [string, number][] =>
    value === null || Number.isNaN(value) ? [] : [[name, value]],
  );
  return {
    reward: primary.value,
    name: primary.name,
    rewards: Object.fromEntries(finite),
    invalid,
  };
}

/** A finite number; null for none; NaN for what is meant as a reward and is no finite number. */
function toNumber(value: unknown): number | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : Number.NaN;
}

function hasRewardAttribute(span: SpanRecorded): boolean {
  const { doubles, longs, booleans, strings, json } = span.attributes;
  if (primaryReward in doubles || primaryReward in longs || primaryReward in booleans) return true;
  // Rare forms: text, null, or indexes that do not begin at 0.
  return hasReward(strings) || hasReward(json) || hasReward(doubles) || hasReward(longs);
}

/** Asked of every span: a loop, because a list of the names would cost more than all else. */
function hasReward(values: Readonly<Record<string, unknown>>): boolean {
  for (const name in values) if (name.startsWith(rewardStart)) return true;
  return false;
}

const primaryReward = `${rewardPrefix}.0.value`;
const rewardStart = `${rewardPrefix}.`;

function bareReward(span: SpanRecorded, name: string): readonly Dimension[] | null {
  const { doubles, longs, booleans } = span.attributes;
  const value = doubles[name] ?? longs[name] ?? booleans[name];
  return value === undefined ? null : [{ name: "reward", value }];
}

function outputOf(span: SpanRecorded, name: string): string | null {
  return textOf(span, [name]) ?? span.attributes.json[name] ?? null;
}

function agentOpsOutput(name: string): RewardConvention {
  return { attributes: [name], read: (span) => agentOpsReward(outputOf(span, name)) };
}

function agentOpsReward(text: string | null): readonly Dimension[] | null {
  if (text === null || !text.includes("reward")) return null;
  // Python prints NaN and Infinity bare, which is no JSON: kept as text, they count as invalid.
  const output = objectOf(parsed(text) ?? parsed(text.replace(/-?\b(?:NaN|Infinity)\b/g, '"$&"')));
  if (output?.type !== "reward") return null;
  return [{ name: "reward", value: output.value }];
}
