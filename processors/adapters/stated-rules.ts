import type { SpanRecorded } from "../../schemas/types.ts";
import { objectOf } from "../traces/attributes.ts";
import { nestedAt } from "../traces/nested.ts";

/** A stated way in which our answer differs from the reference's. */
export type StatedRule = {
  /** A short name, with the number of the reference's defect where it has one. */
  readonly name: string;
  /** Why ours is right, for people. */
  readonly reason: string;
};

/** A recorded answer of the reference: a value, or the error it raised. */
export type RecordedAnswer = { readonly value: unknown } | { readonly error: string };

/** What a rule of any adapter is asked. */
export type Given = {
  readonly spans: readonly SpanRecorded[];
  readonly recorded: RecordedAnswer;
};

export const copies = {
  name: "copies of a span",
  reason: "the reference counts a span that was sent twice twice, ours once",
  explains: ({ spans }: Given) => new Set(spans.map(({ span_id }) => span_id)).size < spans.length,
};

export const lookLikeRewards = {
  name: "H2 attributes that only look like rewards",
  reason: "the reference raises on the whole trace, ours leaves the attribute out",
  explains: ({ spans, recorded }: Given) => "error" in recorded && spans.some(raisesOnReward),
};

export const rewardsAsText: StatedRule = {
  name: "rewards as text",
  reason: "the reference takes a number written as text for a reward, ours counts it as invalid",
};

const reward = "agentlightning.reward";

/** Whether the reference raises on it where rewards are looked for. */
function raisesOnReward(span: SpanRecorded): boolean {
  const names = Object.values(span.attributes).flatMap((values) => Object.keys(values));
  const own = names.filter((name) => name.startsWith(reward));
  if (own.some((name) => !name.startsWith(`${reward}.`))) return true;
  const items = own.length === 0 ? [] : nestedAt(span, reward);
  return (
    !Array.isArray(items) ||
    items.some((item) => {
      const { name, value } = objectOf(item) ?? {};
      return typeof name !== "string" || !["number", "boolean"].includes(typeof value);
    })
  );
}

/** The span with rewards written as text as numbers; the span itself when there are none. */
export function withNumericRewards(span: SpanRecorded): SpanRecorded {
  const isReward = (name: string) => /^agentlightning\.reward\.\d+\.value$/.test(name);
  const { strings, doubles } = span.attributes;
  const written = Object.entries(strings).filter(([name]) => isReward(name));
  if (written.length === 0) return span;
  const others = Object.entries(strings).filter(([name]) => !isReward(name));
  const numbers = written.map(([name, text]) => [name, Number(text)] as const);
  const attributes = {
    ...span.attributes,
    strings: Object.fromEntries(others),
    doubles: { ...doubles, ...Object.fromEntries(numbers) },
  };
  return { ...span, attributes };
}
