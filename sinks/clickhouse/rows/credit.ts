import type { Credit, Provenance, StepRecorded } from "../../../schemas/types.ts";
import {
  dictionary,
  type Field,
  field,
  float32s,
  float64,
  int32,
  int32s,
  int64,
  micros,
  optional,
  optionalWord,
  text,
  word,
} from "../rowbinary.ts";
import { type Source, same } from "../table.ts";

/** Columns of the credit strategy a record carries. */
export const creditColumns: readonly Field<Source<{ readonly credit: Credit }>>[] = [
  field("credit_strategy", word, ({ value }) => value.credit.strategy),
  field("credit_parameters", dictionary(float64), ({ value }) => value.credit.parameters),
  field("credit_options", dictionary(text), ({ value }) => value.credit.options),
];

/** Columns of where in the log a derived record comes from. */
export const provenanceColumns: readonly Field<Source<{ readonly provenance: Provenance }>>[] = [
  field("source_topic", word, ({ value }) => value.provenance.topic),
  field("source_partition", int32, ({ value }) => value.provenance.partition),
  field("source_first_offset", int64, ({ value }) => value.provenance.first_offset),
  field("source_last_offset", int64, ({ value }) => value.provenance.last_offset),
];

/** What a step and a transition say of their LLM call; the names are the same in both. */
type Call = Pick<
  StepRecorded,
  | "span_id"
  | "trace_id"
  | "response_id"
  | "agent"
  | "model"
  | "policy_version"
  | "messages"
  | "completion"
  | "tools"
  | "prompt_ids"
  | "response_ids"
  | "logprobs"
  | "finish_reason"
  | "prompt_tokens"
  | "completion_tokens"
  | "start_time"
  | "end_time"
  | "policy"
  | "choice"
  | "state_id"
  | "potential"
  | "temperature"
  | "top_p"
>;

export const callColumns: readonly Field<Source<Call>>[] = [
  same("span_id", text),
  same("trace_id", text),
  same("response_id", optional(text)),
  same("agent", word),
  same("model", word),
  same("policy_version", optional(int64)),
  same("messages", text),
  same("completion", text),
  same("tools", optional(text)),
  same("prompt_ids", int32s),
  same("response_ids", int32s),
  same("logprobs", float32s),
  same("finish_reason", optionalWord),
  same("prompt_tokens", int64),
  same("completion_tokens", int64),
  same("start_time", micros),
  same("end_time", micros),
  same("policy", word),
  same("choice", int32),
  same("state_id", optional(text)),
  same("potential", optional(float64)),
  same("temperature", optional(float64)),
  same("top_p", optional(float64)),
];
