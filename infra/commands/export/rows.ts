import type { CreditedRow } from "../../../processors/rows/credited-row.ts";
import { rowsOfTransitions } from "../../../processors/rows/rows-of-transitions.ts";
import {
  type Column,
  creditColumns,
  creditOf,
  type ExportRecord,
  type Kind,
  type Shape,
  sourceColumns,
  sourceOf,
  timeText,
} from "./kind.ts";

/** The names under which each trainer looks for what it reads. */
const styled: Readonly<Record<Shape["style"], readonly Column[]>> = {
  verl: [
    { name: "prompt_ids", sql: "Array(Int32)", doc: "token ids of the prompt, not padded" },
    { name: "response_ids", sql: "Array(Int32)", doc: "token ids behind it, not padded" },
    {
      name: "response_mask",
      sql: "Array(UInt8)",
      doc: "1 the policy generated it, 0 it was shown",
    },
    {
      name: "response_logprobs",
      sql: "Array(Nullable(Float32))",
      doc: "natural log, per response token, 0 where shown; empty when unknown",
    },
    { name: "reward_score", sql: "Nullable(Float64)", doc: "final reward of the rollout" },
    { name: "uid", sql: "String", doc: "the group: what GRPO compares" },
  ],
  trl: [
    { name: "prompt_ids", sql: "Array(Int32)", doc: "token ids of the prompt, not padded" },
    { name: "completion_ids", sql: "Array(Int32)", doc: "token ids behind it, not padded" },
    {
      name: "logprobs",
      sql: "Array(Nullable(Float32))",
      doc: "natural log, per completion token, 0 where shown; empty when unknown",
    },
    { name: "env_mask", sql: "Array(UInt8)", doc: "1 the policy generated it, 0 it was shown" },
    { name: "reward", sql: "Nullable(Float64)", doc: "final reward of the rollout" },
    { name: "model_version", sql: "Nullable(Int64)", doc: "newest policy version in it" },
  ],
};

const shared: readonly Column[] = [
  { name: "advantage", sql: "Float64", doc: "of the first call of the row" },
  {
    name: "advantages",
    sql: "Array(Float64)",
    doc: "per response token, where its calls differ; else empty",
  },
  { name: "return_value", sql: "Float64", doc: "of the first call of the row" },
  { name: "weight", sql: "Float64", doc: "the weights of its calls together" },
  { name: "rewards", sql: "Map(String, Float64)", doc: "named dimensions of the last reward" },
  { name: "project", sql: "String", doc: "project of the rollout" },
  { name: "group_id", sql: "String", doc: "rollouts of one task share it" },
  { name: "group_size", sql: "Int32", doc: "rollouts the task asked for" },
  { name: "group_members", sql: "Int32", doc: "rollouts the group has" },
  { name: "rollout_id", sql: "String", doc: "the rollout" },
  { name: "attempt_id", sql: "String", doc: "the attempt of it that counts" },
  { name: "sample_index", sql: "Nullable(Int64)", doc: "which sample of its task, if it says so" },
  { name: "num_turns", sql: "Int32", doc: "steps the rollout has" },
  { name: "turn_indexes", sql: "Array(Int32)", doc: "the steps in this row, from 0" },
  { name: "turns", sql: "String", json: true, doc: "per step: tokens from/to, agent, credit" },
  { name: "span_ids", sql: "Array(String)", doc: "spans of its calls" },
  { name: "trace_id", sql: "String", doc: "their trace" },
  { name: "policy", sql: "String", doc: "resource it trains; empty: the one there is" },
  {
    name: "policy_versions",
    sql: "Array(Tuple(version Nullable(Int64), tokens Int64))",
    doc: "runs over the response: so many tokens of that version, null where shown",
  },
  { name: "policy_version_min", sql: "Nullable(Int64)", doc: "oldest version in it" },
  { name: "policy_version_max", sql: "Nullable(Int64)", doc: "newest version in it" },
  { name: "temperature", sql: "Nullable(Float64)", doc: "asked for; null where its calls differ" },
  { name: "top_p", sql: "Nullable(Float64)", doc: "asked for; null where its calls differ" },
  { name: "finish_reason", sql: "Nullable(String)", doc: "of its last call" },
  { name: "truncated", sql: "Bool", doc: "whether a length limit ended a call" },
  ...creditColumns,
  { name: "status", sql: "String", doc: "how the rollout ended" },
  { name: "mode", sql: "Nullable(String)", doc: "train, val or test" },
  { name: "resources_id", sql: "Nullable(String)", doc: "resource set of the rollout" },
  { name: "resources_version", sql: "Nullable(Int64)", doc: "its version" },
  { name: "created_at", sql: "DateTime64(6, 'UTC')", doc: "when the rollout ended, UTC" },
  { name: "revision", sql: "Int32", doc: "revision of the group" },
  { name: "row_version", sql: "Int32", doc: "form of the row" },
  ...sourceColumns,
];

const columnsOf = ({ style }: Shape): readonly Column[] => [...styled[style], ...shared];

/** Token rows for trainers of token ids. */
export const rowsKind: Kind = {
  doc: "training rows of token ids, masks and log-probs, named as verl or TRL names them",
  columns: columnsOf,
  recordsOf(group, shape) {
    const { rows, empty } = rowsOfTransitions(group, { level: shape.level });
    const columns = columnsOf(shape);
    return {
      records: rows.map((row) => recordOf(row, columns)),
      skipped: { "no-token-trains": empty },
    };
  },
};

function recordOf(row: CreditedRow, columns: readonly Column[]): ExportRecord {
  const response = [...row.response_ids];
  const mask = [...row.response_mask];
  const logprobs = [...(row.logprobs ?? [])];
  const values: ExportRecord = {
    ...row,
    ...creditOf(row),
    ...sourceOf(row),
    prompt_ids: [...row.prompt_ids],
    response_ids: response,
    completion_ids: response,
    response_mask: mask,
    env_mask: mask,
    response_logprobs: logprobs,
    logprobs,
    reward_score: row.reward,
    uid: row.group_id,
    model_version: row.policy_version_max,
    advantages: [...(row.advantages ?? [])],
    created_at: timeText(row.created_at),
  };
  return Object.fromEntries(columns.map(({ name }) => [name, values[name]]));
}
