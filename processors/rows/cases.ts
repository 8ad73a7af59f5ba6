import { codeOf } from "../../schemas/errors.ts";
import {
  type DefectiveRow,
  defectiveRows,
  hasOddLogprobs,
  type RowRule,
  rowRules,
  withoutLoneRewards,
} from "./deviations.ts";
import { firstDifference } from "./difference.ts";
import { metricsOf03, metricsOf10, mismatchMetricsOf03, validationMetrics } from "./metrics.ts";
import { nested, type Padded, padRows } from "./pad.ts";
import { type RowCase, readCase } from "./read-case.ts";
import { type Rows, rowsOfTurns } from "./rows-of-turns.ts";
import type { TrainingRow } from "./turn.ts";

export type CaseKind = "v03" | "v1";

export type CaseOutcome = { readonly name: string } & (
  | { readonly outcome: "passed" }
  | { readonly outcome: "deviating"; readonly rule: string }
  | { readonly outcome: "failed"; readonly difference: string }
);

/**
 * A recorded case of rollouts in and a padded batch out, of 0.3 (`v03`) or 1.0 (`v1`), against
 * {@link rowsOfTurns} with the reference's options. It deviates when the recorded answer is exactly
 * what a known defect makes of it; any other difference is a failure.
 */
export function checkCase(kind: CaseKind, value: unknown): CaseOutcome {
  let read: RowCase;
  try {
    read = readCase(kind, value);
  } catch (error) {
    if (codeOf(error) !== "record-invalid") throw error;
    return { name: "?", outcome: "failed", difference: (error as Error).message };
  }
  const { name } = read;
  const { difference, rules } = compare(kind, read);
  if (difference === null && rules.length === 0) return { name, outcome: "passed" };
  if (difference !== null) return { name, outcome: "failed", difference };
  const ordered = Object.entries(rowRules).filter(([one]) => rules.some((rule) => rule === one));
  const rule = ordered.map(([one, reason]) => `${one}: ${reason}`).join("; ");
  return { name, outcome: "deviating", rule };
}

type Compared = { readonly difference: string | null; readonly rules: readonly RowRule[] };

function compare(kind: CaseKind, read: RowCase): Compared {
  if (!read.train) {
    const metrics = validationMetrics(
      read.rollouts,
      read.options.fill,
      kind === "v03" ? "0.3" : "1.0",
    );
    return { difference: firstDifference({ metrics }, { metrics: read.metrics }), rules: [] };
  }
  const rows = rowsOfTurns(read.rollouts, read.options);
  if (read.failed !== null) {
    const difference = `${rows.rows.length} rows, expected is the error ${read.failed}`;
    return { difference: rows.rows.length === 0 ? null : difference, rules: ["no-rows"] };
  }
  const actual = padRows(rows.rows, read.pad);
  const difference = differenceOf(kind, read, rows, actual);
  if (difference === null) return { difference, rules: [] };
  const withoutLone = withoutLoneRewards(actual);
  if (withoutLone !== null && differenceOf(kind, read, rows, withoutLone) === null) {
    return { difference: null, rules: ["lone-token"] };
  }
  const rules = kind === "v03" ? explained(read, rows) : explainedOf10(read, rows, actual);
  return rules.length > 0 ? { difference: null, rules } : { difference, rules };
}

/** The rules that explain a recorded answer of 1.0 in which log-probs are that ours leaves out. */
function explainedOf10(read: RowCase, rows: Rows, actual: Padded): readonly RowRule[] {
  if (actual.rollout_log_probs !== null || !read.rollouts.some(hasOddLogprobs)) return [];
  const others = { ...read, batch: without(read.batch, "rollout_log_probs") };
  if (differenceOf("v1", others, rows, actual) === null) return ["cut-logprobs"];
  const withoutLone = withoutLoneRewards(actual);
  return withoutLone !== null && differenceOf("v1", others, rows, withoutLone) === null
    ? ["cut-logprobs", "lone-token"]
    : [];
}

function differenceOf(kind: CaseKind, read: RowCase, rows: Rows, padded: Padded): string | null {
  const { level } = read.options;
  const metrics = kind === "v03" ? metricsOf03(rows, level) : metricsOf10(rows, level);
  const more = kind === "v03" && read.debug ? mismatchMetricsOf03(rows) : {};
  const batch =
    kind === "v03" ? without(tensors(read, padded), "rollout_log_probs") : tensors(read, padded);
  const lists = listsOf(read, rows.rows);
  const actual = { batch, lists, metrics: { ...metrics, ...more } };
  return firstDifference(actual, { batch: read.batch, lists: read.lists, metrics: read.metrics });
}

function without(record: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
}

function tensors({ options }: RowCase, padded: Padded): Record<string, unknown> {
  const { rows, is_drop_mask, response_mask, rollout_log_probs, ...matrices } = padded;
  return {
    ...Object.fromEntries(
      Object.entries(matrices).map(([name, matrix]) => [name, nested(matrix, rows)]),
    ),
    is_drop_mask,
    ...(options.level === "trajectory" ? { response_mask: nested(response_mask, rows) } : {}),
    ...(rollout_log_probs === null ? {} : { rollout_log_probs: nested(rollout_log_probs, rows) }),
  };
}

function listsOf({ options }: RowCase, rows: readonly TrainingRow[]): Record<string, unknown> {
  const turns = { turn_index_list: rows.map(({ turn_indexes: [turn = 0] }) => turn) };
  return {
    data_id_list: rows.map(({ data_id }) => data_id),
    rollout_id_list: rows.map(({ rollout_id }) => rollout_id),
    ...(options.level === "transition" ? turns : {}),
  };
}

/**
 * The rules that explain the recorded answer: it is what the defects make of the rollouts that meet
 * one, and what we make of all others. None when it is not.
 */
function explained(read: RowCase, ours: Rows): readonly RowRule[] {
  const { options, rollouts } = read;
  const { limits } = options;
  if (options.level !== "trajectory" || limits === null) return [];
  const theirs: TrainingRow[] = [];
  const rules = new Set<RowRule>();
  let unmerged = 0;
  for (const { rollout_id, data_id = rollout_id, reward, turns } of rollouts) {
    const defective = defectiveRows(turns, limits);
    if (defective.length > 1) unmerged += 1;
    const met = defective.flatMap(({ hazards }) => [...hazards]);
    for (const rule of met) rules.add(rule);
    const own = ours.rows.filter((row) => row.rollout_id === rollout_id);
    if (met.length === 0 && !sameRows(defective, own)) return [];
    const common = { rollout_id, data_id, reward: reward ?? options.fill };
    theirs.push(...defective.map(({ row }) => ({ ...row, ...common })));
  }
  const truncated = theirs.filter(({ truncated_tokens }) => truncated_tokens > 0).length;
  const counts = { ...ours.counts, rows: theirs.length, truncated, unmerged };
  const recorded = { ...ours, rows: theirs, counts };
  const padded = padRows(theirs, read.pad);
  const withoutLone = withoutLoneRewards(padded);
  if (withoutLone !== null) rules.add("lone-token");
  const difference = differenceOf("v03", read, recorded, withoutLone ?? padded);
  return difference === null ? [...rules] : [];
}

function sameRows(theirs: readonly DefectiveRow[], ours: readonly TrainingRow[]): boolean {
  const plain = ({ prompt_ids, response_ids, response_mask }: TrainingRow | DefectiveRow["row"]) =>
    [prompt_ids, response_ids, response_mask].map((list) => Array.from(list));
  return (
    firstDifference(
      theirs.map(({ row }) => plain(row)),
      ours.map(plain),
    ) === null
  );
}
