import type { SpanRecorded } from "../../schemas/types.ts";
import { indexedUnder, objectOf, parsed, textOf } from "./attributes.ts";

export type RewardReading = {
  /** Primary reward, finite; null when the span is none. */
  readonly reward: number | null;
  /** The other named dimensions. */
  readonly rewards: Readonly<Record<string, number>>;
  /** True: a value was not a finite number and is left out. */
  readonly invalid: boolean;
};

/** Dimensions a span carries, the primary one first; null: the convention is not used here. */
type RewardConvention = (span: SpanRecorded) => readonly Dimension[] | null;
type Dimension = { readonly name: string; readonly value: unknown };

const noReward: RewardReading = { reward: null, rewards: {}, invalid: false };

/** How rewards are written; the first row that is used on a span counts (same, 1.3). */
export const rewardConventions: readonly RewardConvention[] = [
  // agentlightning.reward.<i>.name / .value, since v0.3
  (span) => {
    if (!hasRewardAttribute(span)) return null;
    const items = indexedUnder(span.attributes, "agentlightning.reward");
    const dimensions = items.map((item) => ({
      name: String(item.get("name") ?? ""),
      value: item.get("value"),
    }));
    return dimensions.length === 0 ? null : dimensions;
  },
  // AgentOps operations whose output is {"type": "reward", "value": x}
  (span) => agentOpsReward(textOf(span, ["agentops.task.output"])),
  (span) => agentOpsReward(textOf(span, ["agentops.entity.output"])),
  // v0.2: an annotation with a bare attribute
  (span) => {
    if (span.name !== "agentlightning.annotation") return null;
    const { doubles, longs, booleans } = span.attributes;
    const value = doubles.reward ?? longs.reward ?? booleans.reward;
    return value === undefined ? null : [{ name: "reward", value }];
  },
];

/** The reward a span carries. Booleans count as 0 and 1, as in the reference; text never counts. */
export function readReward(span: SpanRecorded): RewardReading {
  for (const convention of rewardConventions) {
    const dimensions = convention(span);
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
    return { reward: null, rewards: {}, invalid };
  }
  const finite = others.flatMap(({ name, value }): [string, number][] =>
    value === null || Number.isNaN(value) ? [] : [[name, value]],
  );
  return { reward: primary.value, rewards: Object.fromEntries(finite), invalid };
}

/** A finite number; null for none; NaN for what is meant as a reward and is no finite number. */
function toNumber(value: unknown): number | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : Number.NaN;
}

function hasRewardAttribute(span: SpanRecorded): boolean {
  const { doubles, longs, booleans, strings, json } = span.attributes;
  const primary = "agentlightning.reward.0.value";
  if (primary in doubles || primary in longs || primary in booleans) return true;
  // Rare forms: text, null, or indexes that do not begin at 0.
  return [strings, json, doubles, longs].some((values) =>
    Object.keys(values).some((name) => name.startsWith("agentlightning.reward.")),
  );
}

function agentOpsReward(text: string | null): readonly Dimension[] | null {
  if (text === null || !text.includes("reward")) return null;
  // Python prints NaN and Infinity bare, which is no JSON: kept as text, they count as invalid.
  const output = objectOf(parsed(text) ?? parsed(text.replace(/-?\b(?:NaN|Infinity)\b/g, '"$&"')));
  if (output?.type !== "reward") return null;
  return [{ name: "reward", value: output.value }];
}
