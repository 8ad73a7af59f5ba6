import type { SpanRecorded } from "../../schemas/types.ts";
import { firstDifference } from "../rows/difference.ts";
import { listOf, objectOf, parsed } from "../traces/attributes.ts";
import { preOrder, treeOf, virtualRoot } from "../traces/tree.ts";
import {
  type ReferenceHabit,
  readingInOrder,
  readingWith,
  repairAsReference,
} from "./as-reference.ts";
import { lightSpan } from "./light-span.ts";
import {
  copies,
  type Given,
  lookLikeRewards,
  type RecordedAnswer,
  rewardsAsText,
  type StatedRule,
  withNumericRewards,
} from "./stated-rules.ts";
import { tripletsOfTrace } from "./tracer.ts";
import type { TracerConfig } from "./tracer-config.ts";

type Case = Given & {
  readonly config: TracerConfig;
  /** Ours. */
  readonly actual: unknown;
};

/** A rule that holds where reading as the reference does gives exactly its answer. */
type HabitRule = StatedRule & {
  readonly habit: ReferenceHabit;
  readonly applies: (spans: readonly SpanRecorded[]) => boolean;
};

/** A rule that holds for what the reference cannot read, or reads in no certain way. */
type InputRule = StatedRule & { readonly explains: (given: Case) => boolean };

const habitRules: readonly HabitRule[] = [
  {
    habit: "treeOrder",
    name: "H7 order of triplets",
    reason: "the reference has them in the order of the repaired tree, ours as the calls happened",
    applies: () => true,
  },
  {
    habit: "listOrder",
    name: "order of the list",
    reason: "the reference's answer depends on the order in which spans are listed, ours does not",
    applies: () => true,
  },
  {
    habit: "lossyRepair",
    name: "H6 lost spans",
    reason: "the reference's repair hangs spans below their own descendants, where they vanish",
    applies: (spans) => nodesAfterRepair(spans) < nodesOf(spans),
  },
  {
    habit: "lossyRepair",
    name: "H20 repair beside returned rewards",
    reason:
      "a reward that stands beside the root keeps the reference from repairing below the root",
    applies: (spans) => treeOf(listed(spans))?.id === virtualRoot,
  },
  {
    habit: "lossyRepair",
    name: "equally tight spans",
    reason:
      "of spans that enclose another equally tightly ours takes the first in the tree as it was",
    applies: () => true,
  },
];

/** Subsets of habits, the smallest first. */
const combinations: readonly (readonly ReferenceHabit[])[] = [
  [],
  ["treeOrder"],
  ["listOrder"],
  ["lossyRepair"],
  ["treeOrder", "listOrder"],
  ["treeOrder", "lossyRepair"],
  ["listOrder", "lossyRepair"],
  ["treeOrder", "listOrder", "lossyRepair"],
];

const inputRules: readonly InputRule[] = [
  {
    name: "H4 several absent parents",
    reason: "the reference takes them in the order of a Python set, which is none",
    explains: ({ spans, config, recorded, actual }) => {
      const absent = absentParents(spans);
      if (absent.length < 2 || "error" in recorded) return false;
      return absent.length > mostOrdered
        ? sameTriplets(actual, recorded.value)
        : ordersOf(absent).some(
            (order) => habitsBehind(spans, config, recorded.value, order) !== null,
          );
    },
  },
  {
    name: "circles of parents",
    reason: "the reference loses spans whose parents form a circle, or raises; ours keeps them",
    explains: ({ spans, config, recorded }) => {
      const rest = outsideOfCircles(spans);
      if (rest.length === spans.length) return false;
      return "error" in recorded ? rest.length === 0 : isOurs(rest, config, recorded.value);
    },
  },
  copies,
  lookLikeRewards,
  {
    ...rewardsAsText,
    explains: ({ spans, config, recorded }) => {
      const numbers = spans.map(withNumericRewards);
      const changed = numbers.some((span, i) => span !== spans[i]);
      return changed && "value" in recorded && isOurs(numbers, config, recorded.value);
    },
  },
  {
    name: "a value where a group belongs",
    reason: "the reference raises on an attribute named like a group of attributes",
    explains: ({ spans, recorded }) => "error" in recorded && spans.some(hasValueForGroup),
  },
  {
    name: "log-probs that are no JSON",
    reason: "the reference raises on the whole trace, ours leaves the log-probs of the call out",
    explains: ({ spans, recorded }) =>
      "error" in recorded &&
      spans.some(({ attributes }) => {
        const text = attributes.strings["logprobs.content"];
        return text !== undefined && parsed(text) === undefined;
      }),
  },
  {
    name: "spans without times",
    reason: "the reference raises on the whole trace, ours takes the time that is missing for 0",
    explains: ({ spans, recorded }) =>
      "error" in recorded && spans.some((span) => span.start_time === 0 || span.end_time === 0),
  },
];

/** Every rule, for people. */
export const tracerRules: readonly StatedRule[] = [...habitRules, ...inputRules];

/**
 * The rules by which our triplets of a trace differ from the reference's, or null when no rule
 * explains it. What differs by habit is proven: read with those habits, the trace must give exactly
 * the recorded answer.
 *
 * @param actual our triplets, as JSON has them.
 */
export function tracerDeviation(
  spans: readonly SpanRecorded[],
  config: TracerConfig,
  recorded: RecordedAnswer,
  actual: unknown,
): readonly StatedRule[] | null {
  const habits = "value" in recorded ? habitsBehind(spans, config, recorded.value) : null;
  if (habits !== null) {
    return habits.flatMap((habit) => {
      const rule = habitRules.find((row) => row.habit === habit && row.applies(spans));
      return rule === undefined ? [] : [rule];
    });
  }
  const given = { spans, config, recorded, actual };
  const rule = inputRules.find(({ explains }) => explains(given));
  return rule === undefined ? null : [rule];
}

function habitsBehind(
  spans: readonly SpanRecorded[],
  config: TracerConfig,
  expected: unknown,
  absent: readonly string[] = [],
): readonly ReferenceHabit[] | null {
  const found = combinations.find((habits) => {
    const reading = readingInOrder(readingWith(habits), absent);
    const triplets = tripletsOfTrace(spans, config, reading);
    return firstDifference(JSON.parse(JSON.stringify(triplets)), expected) === null;
  });
  return found ?? null;
}

function listed(spans: readonly SpanRecorded[]) {
  return spans.map((span) => ({
    span: lightSpan(span),
    start: span.start_time,
    end: span.end_time,
  }));
}

function nodesOf(spans: readonly SpanRecorded[]): number {
  const root = treeOf(listed(spans));
  return root === null ? 0 : preOrder(root).length;
}

function nodesAfterRepair(spans: readonly SpanRecorded[]): number {
  const root = treeOf(listed(spans));
  if (root === null) return 0;
  repairAsReference(root);
  return preOrder(root).length;
}

function absentParents(spans: readonly SpanRecorded[]): string[] {
  const ids = new Set(spans.map((span) => span.span_id));
  const absent = new Set(spans.flatMap(({ parent_id }) => parent_id ?? []));
  return [...absent].filter((id) => !ids.has(id));
}

/** Of more absent parents not every order is tried. */
const mostOrdered = 5;

function ordersOf(ids: readonly string[]): string[][] {
  if (ids.length === 0) return [[]];
  return ids.flatMap((first) =>
    ordersOf(ids.filter((id) => id !== first)).map((rest) => [first, ...rest]),
  );
}

/** The spans a root is above of, or an absent parent. */
function outsideOfCircles(spans: readonly SpanRecorded[]): SpanRecorded[] {
  const parents = new Map(spans.map((span) => [span.span_id, span.parent_id]));
  return spans.filter(({ parent_id }) => {
    let above: string | null | undefined = parent_id;
    for (let steps = 0; steps < spans.length; steps++) {
      above = above === null || above === undefined ? null : parents.get(above);
    }
    return above === null || above === undefined;
  });
}

/** True when the trace, read with some of the reference's habits, gives this. */
function isOurs(spans: readonly SpanRecorded[], config: TracerConfig, expected: unknown): boolean {
  return spans.length > 0 && habitsBehind(spans, config, expected) !== null;
}

/** What a triplet says but for its reward. */
function contentOf(triplet: unknown): string {
  return JSON.stringify({ ...objectOf(triplet), reward: null });
}

function sameTriplets(actual: unknown, expected: unknown): boolean {
  const sorted = (triplets: unknown) => listOf(triplets).map(canonical).sort(byContent);
  return firstDifference(sorted(actual), sorted(expected)) === null;
}

function canonical(triplet: unknown): unknown {
  return { ...objectOf(triplet), reward: null };
}

function byContent(a: unknown, b: unknown): number {
  return contentOf(a) < contentOf(b) ? -1 : 1;
}

const groups = ["gen_ai.prompt", "gen_ai.completion", "gen_ai.request", "gen_ai.response"];

function hasValueForGroup({ attributes }: SpanRecorded): boolean {
  return Object.values(attributes).some((values) => groups.some((name) => name in values));
}
