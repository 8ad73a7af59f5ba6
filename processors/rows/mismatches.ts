import type { Merged } from "./merge.ts";
import {
  diagnose,
  type Mismatch,
  type MismatchKind,
  mismatchKinds,
  tokensOf,
  type Vocabulary,
} from "./mismatch.ts";
import type { Turn } from "./turn.ts";

/** Examples kept of one call. */
export const mostExamples = 100;

/** Why turns began rows of their own: how many, how many of each kind, and some of them. */
export type Mismatches = {
  readonly turns: number;
  /** A turn may be of two kinds; one beyond what a diagnosis may cost is of none. */
  readonly kinds: Readonly<Record<MismatchKind, number>>;
  readonly examples: readonly Mismatch[];
};

/** Collects them over rollouts. */
export type MismatchTally = {
  add(rolloutId: string, turns: readonly Turn[], merged: Merged): void;
  result(): Mismatches;
};

/**
 * A rollout's diagnosis reads at most this many times its tokens, so that it stays linear: a short
 * turn may be near a long context, and many may be near the same one.
 */
const mostReadings = 4;

export function mismatchTally(vocabulary: Vocabulary): MismatchTally {
  const kinds = { template: 0, retokenisation: 0, branch: 0, other: 0 };
  const examples: Mismatch[] = [];
  let count = 0;
  return {
    add(rolloutId, turns, { breaks }) {
      let budget = 0;
      if (breaks.length > 0) for (const turn of turns) budget += mostReadings * tokensOf(turn);
      count += breaks.length;
      for (const found of breaks) {
        budget -= tokensOf(turns[found.turn]) + tokensOf(turns[found.near]);
        if (budget < 0) break;
        const mismatch = diagnose(rolloutId, found, turns, vocabulary);
        for (const kind of mismatch.kinds) kinds[kind] += 1;
        if (examples.length < mostExamples) examples.push(mismatch);
      }
    },
    result: () => ({ turns: count, kinds: { ...kinds }, examples: [...examples] }),
  };
}

/** A line per kind that was found. */
export function describeMismatches({ turns, kinds }: Mismatches): string {
  const found = mismatchKinds.filter((kind) => kinds[kind] > 0);
  const texts = found.map((kind) => `${kinds[kind]} ${kind}`);
  return turns === 0
    ? "no turn broke a trajectory"
    : `${turns} turns began a row: ${texts.join(", ")}`;
}
