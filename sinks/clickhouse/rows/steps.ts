import type { RolloutAssembled, StepRecorded } from "../../../schemas/types.ts";
import {
  dictionary,
  float64,
  int32,
  int64,
  micros,
  optional,
  optionalWord,
  text,
  word,
} from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";
import { callColumns, creditColumns, provenanceColumns } from "./credit.ts";

export const steps: Table<StepRecorded> = {
  name: "steps",
  key: ["project", "rollout_id", "attempt_id", "step_index"],
  repeats: null,
  columns: [
    same("project", word),
    same("rollout_id", text),
    same("group_id", text),
    same("attempt_id", text),
    same("step_index", int32),
    ...callColumns,
    same("reward", optional(float64)),
    same("rewards", dictionary(float64)),
    ...provenanceColumns,
    ...kafkaColumns,
  ],
};

export const assemblies: Table<RolloutAssembled> = {
  name: "assemblies",
  key: ["project", "rollout_id"],
  repeats: null,
  columns: [
    same("project", word),
    same("rollout_id", text),
    same("group_id", text),
    same("group_size", int32),
    same("group_deadline_seconds", float64),
    same("attempt_id", optional(text)),
    same("status", word),
    same("mode", optionalWord),
    same("resources_id", optional(text)),
    same("resources_version", optional(int64)),
    ...creditColumns,
    same("steps", int32),
    same("spans", int32),
    same("reward", optional(float64)),
    same("rewards", dictionary(float64)),
    same("invalid_rewards", int32),
    same("enqueued_at", optional(micros)),
    same("ended_at", micros),
    same("metadata", text),
    ...provenanceColumns,
    ...kafkaColumns,
  ],
};
