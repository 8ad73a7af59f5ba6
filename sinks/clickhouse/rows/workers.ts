import type { WorkerChanged } from "../../../schemas/types.ts";
import { int64, micros, optional, text, word } from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";

/** Snapshots of workers; the view `workers` merges them. */
export const workerChanges: Table<WorkerChanged> = {
  name: "worker_changes",
  key: ["project", "worker_id", "kafka_offset"],
  repeats: null,
  columns: [
    same("project", word),
    same("worker_id", text),
    same("first_seen_at", micros),
    same("last_heartbeat_at", optional(micros)),
    same("stats_at", optional(micros)),
    same("heartbeat_stats", optional(text)),
    same("last_dequeue_at", optional(micros)),
    same("status_at", optional(micros)),
    same("status", word),
    same("status_order", int64),
    same("current_at", optional(micros)),
    same("current_order", int64),
    same("rollout_id", optional(text)),
    same("attempt_id", optional(text)),
    same("last_busy_at", optional(micros)),
    same("last_idle_at", optional(micros)),
    ...kafkaColumns,
  ],
};
