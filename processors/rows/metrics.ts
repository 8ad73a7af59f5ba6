import { mostExamples } from "./mismatches.ts";
import type { RowOptions, Rows } from "./rows-of-turns.ts";
import type { RolloutTurns } from "./turn.ts";

/** Names and values as a trainer logs them. */
export type Metrics = Readonly<Record<string, number>>;

/** What 0.3 logs of a training batch (reference/v0.3-behaviour.md, 4.7). */
export function metricsOf03({ counts }: Rows, level: RowOptions["level"]): Metrics {
  const merged = {
    "training/n_unmerged_rollouts": counts.unmerged,
    "training/n_triplets_by_turn": counts.turns,
    "training/avg_response_length_by_turn": counts.response_tokens / counts.turns,
    "training/max_response_length_by_turn": counts.longest_response,
    "training/min_response_length_by_turn": counts.shortest_response,
  };
  return {
    "training/reward": counts.mean_reward,
    "training/n_rollouts": counts.rollouts,
    "training/n_rollouts_w_trace": counts.with_turns,
    "training/n_rollouts_w_reward": counts.with_reward,
    "training/n_truncated_triplets": counts.truncated,
    "training/n_triplets": counts.rows,
    ...(level === "trajectory" ? merged : {}),
  };
}

/** What its debug mode adds: turns that broke a trajectory by kind, and their share of all turns. */
export function mismatchMetricsOf03({ counts, mismatches: { kinds } }: Rows): Metrics {
  const others = kinds.other + kinds.branch;
  const found = { template: kinds.template, retoken: kinds.retokenisation, others };
  return Object.fromEntries(
    Object.entries(found).flatMap(([kind, count]) => [
      [`training/${kind}_mismatch_triplets`, count],
      [`training/${kind}_mismatch_ratio`, count / counts.turns],
    ]),
  );
}

/** What 1.0 logs of a training batch (reference/v1.0.md, 3.3). */
export function metricsOf10({ counts, mismatches }: Rows, level: RowOptions["level"]): Metrics {
  const merged = {
    "training/n_unmerged_rollouts": counts.unmerged,
    "training/n_trace_merge_mismatch_rows": Math.min(mostExamples, mismatches.turns),
  };
  return {
    "training/reward": counts.mean_reward,
    "training/n_sample": counts.rows,
    "training/n_rollouts": counts.rollouts,
    "training/n_rollouts_w_trace": counts.with_turns,
    "training/n_rollouts_w_reward": counts.with_reward,
    "training/n_truncated_sample": counts.truncated,
    "training/n_skipped_empty_rows": counts.empty,
    "training/n_turns": counts.turns,
    "response_length/training/avg_by_turn": counts.response_tokens / counts.turns,
    "response_length/training/max_by_turn": counts.longest_response,
    "response_length/training/min_by_turn": counts.shortest_response,
    ...(level === "trajectory" ? merged : {}),
  };
}

/** What both versions log of a validation: lengths and turns over the rollouts that have turns. */
export function validationMetrics(
  rollouts: readonly RolloutTurns[],
  fill: number,
  version: "0.3" | "1.0",
): Metrics {
  const traced = rollouts.filter(({ turns }) => turns.length > 0);
  const lengths = traced.map(({ turns }) =>
    turns.reduce((sum, { response_ids }) => sum + response_ids.length, 0),
  );
  const perTurn = traced.map(({ turns }, i) => (lengths[i] ?? 0) / turns.length);
  const [mean_length, sum_length] =
    version === "0.3"
      ? ["mean_response_length", "sum_response_length"]
      : ["mean_response_length_per_turn", "mean_total_response_length_per_rollout"];
  return {
    "val/n_rollouts": rollouts.length,
    "val/n_rollouts_w_trace": traced.length,
    "val/n_rollouts_w_reward": rollouts.filter(({ reward }) => reward !== null).length,
    "val/reward": mean(rollouts.map(({ reward }) => reward ?? fill)),
    [`val/${mean_length}`]: mean(perTurn),
    [`val/${sum_length}`]: mean(lengths),
    "val/turn_count": mean(traced.map(({ turns }) => turns.length)),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
