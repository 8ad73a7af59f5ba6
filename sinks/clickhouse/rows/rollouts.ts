import type { Attempt, RolloutChanged } from "../../../schemas/types.ts";
import {
  field,
  float64,
  int32,
  int64,
  list,
  micros,
  optional,
  optionalWord,
  text,
  tuple,
  word,
} from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";
import { creditColumns } from "./credit.ts";

const attempt = tuple<Attempt>([
  field("attempt_id", text, (a) => a.attempt_id),
  field("sequence_id", int32, (a) => a.sequence_id),
  field("status", word, (a) => a.status),
  field("worker_id", optional(text), (a) => a.worker_id),
  field("started_at", micros, (a) => a.started_at),
  field("ended_at", optional(micros), (a) => a.ended_at),
  field("last_heartbeat_at", optional(micros), (a) => a.last_heartbeat_at),
  field("metadata", optional(text), (a) => a.metadata),
]);

/** All but what only the fold needs: which requests and numbers it has given, and its marks. */
export const rolloutChanges: Table<RolloutChanged> = {
  name: "rollout_changes",
  key: ["project", "rollout_id", "request_offset"],
  repeats: null,
  columns: [
    same("project", word),
    same("rollout_id", text),
    same("request_offset", int64),
    same("status", word),
    same("input", text),
    same("mode", optionalWord),
    same("resources_id", optional(text)),
    same("resources_version", optional(int64)),
    field("timeout_seconds", optional(float64), ({ value: v }) => v.config.timeout_seconds),
    field(
      "unresponsive_seconds",
      optional(float64),
      ({ value: v }) => v.config.unresponsive_seconds,
    ),
    field("max_attempts", int32, ({ value: v }) => v.config.max_attempts),
    field("retry_condition", list(word), ({ value: v }) => v.config.retry_condition),
    field("grace_seconds", float64, ({ value: v }) => v.config.grace_seconds),
    field("claim_seconds", optional(float64), ({ value: v }) => v.config.claim_seconds),
    field("retention_seconds", float64, ({ value: v }) => v.config.retention_seconds),
    same("metadata", text),
    same("group_id", text),
    same("group_size", int32),
    same("group_deadline_seconds", float64),
    ...creditColumns,
    same("selection", word),
    same("enqueued_at", micros),
    same("queued_at", micros),
    same("ended_at", optional(micros)),
    field("attempts", list(attempt), ({ value: v }) => v.attempts),
    same("next_sequence_id", int64),
    same("error", optional(text)),
    ...kafkaColumns,
  ],
};
