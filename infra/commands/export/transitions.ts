import { unpackFloat32, unpackInt32 } from "../../../schemas/bytes.ts";
import type { TransitionRecorded } from "../../../schemas/types.ts";
import {
  type Column,
  creditColumns,
  creditOf,
  type ExportRecord,
  jsonOf,
  type Kind,
  sourceColumns,
  sourceOf,
  timeText,
} from "./kind.ts";

const time = "DateTime64(6, 'UTC')";

const columns: readonly Column[] = [
  { name: "project", sql: "String", doc: "project of the rollout" },
  { name: "group_id", sql: "String", doc: "rollouts of one task share it" },
  { name: "rollout_id", sql: "String", doc: "the rollout" },
  { name: "attempt_id", sql: "String", doc: "the attempt of it that counts" },
  { name: "step_index", sql: "Int32", doc: "place in the rollout, from 0" },
  { name: "step_count", sql: "Int32", doc: "steps the rollout has" },
  { name: "choice", sql: "Int32", doc: "which choice of an n > 1 response, from 0" },
  { name: "span_id", sql: "String", doc: "span of the LLM call" },
  { name: "trace_id", sql: "String", doc: "its trace" },
  { name: "response_id", sql: "Nullable(String)", doc: "id the engine gave the response" },
  { name: "agent", sql: "String", doc: "name of the agent that called" },
  { name: "policy", sql: "String", doc: "resource it trains; empty: the one there is" },
  { name: "model", sql: "String", doc: "name of the model" },
  { name: "policy_version", sql: "Nullable(Int64)", doc: "version that generated it" },
  { name: "messages", sql: "String", json: true, doc: "what the model saw: OpenAI messages" },
  { name: "completion", sql: "String", json: true, doc: "what it said: an OpenAI message" },
  { name: "tools", sql: "Nullable(String)", json: true, doc: "tool definitions it was given" },
  { name: "prompt_ids", sql: "Array(Int32)", doc: "token ids of the prompt" },
  { name: "response_ids", sql: "Array(Int32)", doc: "token ids of the response" },
  { name: "logprobs", sql: "Array(Nullable(Float32))", doc: "natural log, per response token" },
  { name: "loss_mask", sql: "Array(UInt8)", doc: "1 trains, per response token" },
  { name: "finish_reason", sql: "Nullable(String)", doc: "why generation stopped" },
  { name: "prompt_tokens", sql: "Int64", doc: "tokens" },
  { name: "completion_tokens", sql: "Int64", doc: "tokens" },
  { name: "temperature", sql: "Nullable(Float64)", doc: "asked for" },
  { name: "top_p", sql: "Nullable(Float64)", doc: "asked for" },
  { name: "start_time", sql: time, doc: "of the call, UTC" },
  { name: "end_time", sql: time, doc: "of the call, UTC" },
  { name: "state_id", sql: "Nullable(String)", doc: "id the agent gave the state" },
  { name: "potential", sql: "Nullable(Float64)", doc: "potential of the state" },
  { name: "reward", sql: "Nullable(Float64)", doc: "reward matched to this call" },
  { name: "rewards", sql: "Map(String, Float64)", doc: "its named dimensions" },
  { name: "reward_spans", sql: "Array(String)", doc: "spans of those rewards" },
  { name: "rollout_reward", sql: "Nullable(Float64)", doc: "final reward of the rollout" },
  { name: "return_value", sql: "Float64", doc: "return the strategy gave it" },
  { name: "advantage", sql: "Float64", doc: "advantage of every trained token of it" },
  { name: "weight", sql: "Float64", doc: "1 over the rows of the rollout" },
  ...creditColumns,
  { name: "group_size", sql: "Int32", doc: "rollouts the task asked for" },
  { name: "group_members", sql: "Int32", doc: "rollouts the group has" },
  { name: "mode", sql: "Nullable(String)", doc: "train, val or test" },
  { name: "resources_id", sql: "Nullable(String)", doc: "resource set of the rollout" },
  { name: "resources_version", sql: "Nullable(Int64)", doc: "its version" },
  { name: "rollout_status", sql: "String", doc: "how the rollout ended" },
  { name: "metadata", sql: "Nullable(String)", json: true, doc: "metadata of the task" },
  { name: "ended_at", sql: time, doc: "when the rollout ended, UTC" },
  { name: "revision", sql: "Int32", doc: "revision of the group" },
  ...sourceColumns,
];

/** Transitions as they stand in the log, field by field. */
export const transitionsKind: Kind = {
  doc: "transitions as they stand in the log: call, reward, return, advantage, provenance",
  columns: () => columns,
  recordsOf: (group) => ({ records: group.map(recordOf), skipped: {} }),
};

function recordOf(transition: TransitionRecorded): ExportRecord {
  const values: ExportRecord = {
    ...transition,
    ...creditOf(transition),
    ...sourceOf(transition),
    messages: jsonOf(transition.messages),
    completion: jsonOf(transition.completion),
    tools: jsonOf(transition.tools),
    metadata: jsonOf(transition.metadata),
    prompt_ids: [...unpackInt32(transition.prompt_ids)],
    response_ids: [...unpackInt32(transition.response_ids)],
    logprobs: [...unpackFloat32(transition.logprobs)],
    loss_mask: [...transition.loss_mask],
    start_time: timeText(transition.start_time),
    end_time: timeText(transition.end_time),
    ended_at: timeText(transition.ended_at),
  };
  return Object.fromEntries(columns.map(({ name }) => [name, values[name]]));
}
