import type { Tagged } from "../../../schemas/records.ts";
import type * as Records from "../../../schemas/types.ts";
import { at, credit } from "./settings.ts";

const attempt: Records.Attempt = {
  attempt_id: "at-1",
  sequence_id: 1,
  status: "running",
  worker_id: null,
  started_at: at,
  ended_at: null,
  last_heartbeat_at: at + 5,
  metadata: null,
};

export function rolloutChanged(
  values: Partial<Records.RolloutChanged> = {},
): Tagged<"RolloutChanged"> {
  const value: Records.RolloutChanged = {
    project: "default",
    rollout_id: "ro-1",
    status: "running",
    input: '{"task":"find a room"}',
    mode: "train",
    resources_id: "main",
    resources_version: 3,
    config: {
      timeout_seconds: 60,
      unresponsive_seconds: null,
      max_attempts: 3,
      retry_condition: ["timeout"],
      grace_seconds: 0,
      claim_seconds: null,
      retention_seconds: 3600,
    },
    metadata: "{}",
    group_id: "g-1",
    group_size: 2,
    group_deadline_seconds: 60,
    credit,
    selection: '{"repair":false}',
    enqueued_at: at,
    queued_at: at,
    keeps_place: false,
    ended_at: null,
    attempts: [attempt, { ...attempt, attempt_id: "at-2", sequence_id: 2 }],
    next_sequence_id: 4,
    recent_requests: ["rq-1"],
    recent_sequences: [],
    marked_attempts: 0,
    request_offset: 5,
    error: null,
  };
  return { type: "RolloutChanged", value: { ...value, ...values } };
}

export function workerChanged(
  values: Partial<Records.WorkerChanged> = {},
): Tagged<"WorkerChanged"> {
  const value: Records.WorkerChanged = {
    project: "default",
    worker_id: "w-1",
    first_seen_at: at,
    last_heartbeat_at: at + 1,
    stats_at: at + 1,
    heartbeat_stats: '{"gpu": 1.0}',
    last_dequeue_at: null,
    status_at: at + 2,
    status: "busy",
    status_order: 3,
    current_at: at + 2,
    current_order: 3,
    rollout_id: "ro-1",
    attempt_id: "at-1",
    last_busy_at: at + 2,
    last_idle_at: null,
  };
  return { type: "WorkerChanged", value: { ...value, ...values } };
}
