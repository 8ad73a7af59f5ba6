import { mergeTurns, singleTurns } from "./merge.ts";
import type { Vocabulary } from "./mismatch.ts";
import { type Mismatches, mismatchTally } from "./mismatches.ts";
import { type RowLimits, tokenRow, trains } from "./token-row.ts";
import type { RolloutTurns, TrainingRow } from "./turn.ts";

export type RowOptions = {
  /** `transition`: a row per turn. `trajectory`: turns that go on with one another share a row. */
  readonly level: "transition" | "trajectory";
  /** Keep every row of a rollout open for later turns; false: the last one alone (the reference). */
  readonly several: boolean;
  /** Null: rows are as long as they are. */
  readonly limits: RowLimits | null;
  /** The reward of a rollout that has none. */
  readonly fill: number;
  /** Keep rows of which no token trains. */
  readonly keepEmpty: boolean;
  readonly vocabulary: Vocabulary;
};

export const defaultRowOptions: RowOptions = {
  level: "transition",
  several: true,
  limits: null,
  fill: 0,
  keepEmpty: false,
  vocabulary: {},
};

/** What was read and what became of it. */
export type RowCounts = {
  readonly rollouts: number;
  /** Rollouts with turns, with a reward, and of more than one row though merging was asked for. */
  readonly with_turns: number;
  readonly with_reward: number;
  readonly unmerged: number;
  /** Mean over all rollouts, with and without turns; NaN of none. */
  readonly mean_reward: number;
  readonly turns: number;
  readonly rows: number;
  /** Rows cut at the response's limit; left out because no token trains; too long in the prompt. */
  readonly truncated: number;
  readonly empty: number;
  readonly too_long: number;
  /** Tokens the turns generated. */
  readonly response_tokens: number;
  readonly longest_response: number;
  readonly shortest_response: number;
};

export type Rows = {
  readonly rows: readonly TrainingRow[];
  readonly counts: RowCounts;
  readonly mismatches: Mismatches;
};

/**
 * Training rows of rollouts, those of 1.0 by (step, sample) and else in the order given. Every row
 * carries its rollout's final reward. Pure and linear in the tokens; the input is never changed, so
 * converting it twice gives the same rows.
 */
export function rowsOfTurns(
  rollouts: readonly RolloutTurns[],
  options: Partial<RowOptions> = {},
): Rows {
  const all = { ...defaultRowOptions, ...options };
  const tally = mismatchTally(all.vocabulary);
  const counts = emptyCounts();
  const rows: TrainingRow[] = [];
  let rewards = 0;
  for (const rollout of [...rollouts].sort(byStepAndSample)) {
    const reward = rollout.reward ?? all.fill;
    rewards += reward;
    countRollout(counts, rollout);
    const made = rowsOfRollout(rollout, reward, all);
    tally.add(rollout.rollout_id, rollout.turns, made.merged);
    if (all.level === "trajectory" && made.merged.segments.length > 1) counts.unmerged += 1;
    for (const row of made.rows) {
      if (row.truncated_tokens > 0) counts.truncated += 1;
      if (!all.keepEmpty && !trains(row)) counts.empty += 1;
      else {
        if (row.is_drop) counts.too_long += 1;
        rows.push(row);
      }
    }
  }
  const mean_reward = rewards / rollouts.length;
  return {
    rows,
    counts: { ...counts, mean_reward, rows: rows.length },
    mismatches: tally.result(),
  };
}

function rowsOfRollout(
  rollout: RolloutTurns,
  reward: number,
  { level, several, limits }: RowOptions,
) {
  const { rollout_id, data_id = rollout_id, turns } = rollout;
  const merged = level === "trajectory" ? mergeTurns(turns, several) : singleTurns(turns);
  const rows = merged.segments.map((segment) => {
    const row = tokenRow(turns, segment, limits);
    return { rollout_id, data_id, reward, ...row };
  });
  return { merged, rows };
}

function byStepAndSample(a: RolloutTurns, b: RolloutTurns): number {
  return (a.step ?? 0) - (b.step ?? 0) || (a.sample_idx ?? 0) - (b.sample_idx ?? 0);
}

type Counting = { -readonly [K in keyof RowCounts]: number };

const emptyCounts = (): Counting => ({
  rollouts: 0,
  with_turns: 0,
  with_reward: 0,
  unmerged: 0,
  mean_reward: Number.NaN,
  turns: 0,
  rows: 0,
  truncated: 0,
  empty: 0,
  too_long: 0,
  response_tokens: 0,
  longest_response: 0,
  shortest_response: 0,
});

function countRollout(counts: Counting, { reward, turns }: RolloutTurns): void {
  counts.rollouts += 1;
  if (turns.length > 0) counts.with_turns += 1;
  if (reward !== null) counts.with_reward += 1;
  for (const { response_ids } of turns) {
    const { length } = response_ids;
    counts.longest_response = Math.max(counts.longest_response, length);
    counts.shortest_response =
      counts.turns === 0 ? length : Math.min(counts.shortest_response, length);
    counts.turns += 1;
    counts.response_tokens += length;
  }
}
