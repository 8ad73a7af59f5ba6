import type { SpanRecorded } from "../../schemas/types.ts";
import { firstDifference } from "../rows/difference.ts";
import { listOf, objectOf } from "../traces/attributes.ts";
import { proxyTriplets } from "./llm-proxy.ts";
import {
  copies,
  type Given,
  lookLikeRewards,
  type RecordedAnswer,
  rewardsAsText,
  type StatedRule,
  withNumericRewards,
} from "./stated-rules.ts";

type Rule = StatedRule & { readonly explains: (given: Given) => boolean };

const rules: readonly Rule[] = [
  {
    name: "order of the list",
    reason:
      "the reference takes calls and rewards of one sequence id and start as they are listed, ours by span id",
    explains: ({ spans, recorded }) => isReference(spans, recorded),
  },
  copies,
  lookLikeRewards,
  {
    ...rewardsAsText,
    explains: ({ spans, recorded }) => isReference(spans.map(withNumericRewards), recorded),
  },
  {
    name: "truth values as token ids",
    reason: "Python counts True among the integers, and so does the reference; ours does not",
    explains: ({ recorded }) =>
      "value" in recorded && listOf(recorded.value).some(hasTruthValueForId),
  },
];

/** The rules by which our triplets of a proxy's trace differ from the reference's; null: none does. */
export function proxyDeviation(
  spans: readonly SpanRecorded[],
  recorded: RecordedAnswer,
): readonly StatedRule[] | null {
  const rule = rules.find(({ explains }) => explains({ spans, recorded }));
  return rule === undefined ? null : [rule];
}

function isReference(spans: readonly SpanRecorded[], recorded: RecordedAnswer): boolean {
  if ("error" in recorded) return false;
  const triplets = proxyTriplets(spans, asListed);
  return firstDifference(JSON.parse(JSON.stringify(triplets)), recorded.value) === null;
}

const asListed = (): number => 0;

function hasTruthValueForId(triplet: unknown): boolean {
  return ["prompt", "response"].some((part) => {
    const { token_ids } = objectOf(objectOf(triplet)?.[part]) ?? {};
    return listOf(token_ids).some((id) => typeof id === "boolean");
  });
}
