import type { Attempt, RolloutChanged, TaskConfig } from "../../../schemas/types.ts";
import type { Worker } from "../ports.ts";
import { floatOrNull, quoted, quotedOrNull, seconds, verbatim } from "./text.ts";

/** The reference's `Rollout` as JSON text, keys in its order; never with an attempt. */
export function rolloutText(rollout: RolloutChanged): string {
  return `{${rolloutFields(rollout)}}`;
}

/** Its `AttemptedRollout`; without attempts the key is absent, which is how clients tell. */
export function attemptedText(rollout: RolloutChanged): string {
  const latest = rollout.attempts.at(-1);
  if (latest === undefined) return rolloutText(rollout);
  return `{${rolloutFields(rollout)},"attempt":${attemptText(rollout.rollout_id, latest)}}`;
}

function rolloutFields(rollout: RolloutChanged): string {
  return `"rollout_id":${quoted(rollout.rollout_id)},"input":${verbatim(rollout.input)},"start_time":${seconds(rollout.enqueued_at)},"end_time":${seconds(rollout.ended_at)},"mode":${quotedOrNull(rollout.mode)},"resources_id":${quotedOrNull(rollout.resources_id)},"status":${quoted(rollout.status)},"config":${configText(rollout.config)},"metadata":${verbatim(rollout.metadata)}`;
}

/** The four settings the reference has. */
export function configText(config: TaskConfig): string {
  const { timeout_seconds, unresponsive_seconds, max_attempts, retry_condition } = config;
  return `{"timeout_seconds":${floatOrNull(timeout_seconds)},"unresponsive_seconds":${floatOrNull(unresponsive_seconds)},"max_attempts":${max_attempts},"retry_condition":${JSON.stringify(retry_condition)}}`;
}

export function attemptText(rolloutId: string, attempt: Attempt): string {
  const { metadata } = attempt;
  return `{"rollout_id":${quoted(rolloutId)},"attempt_id":${quoted(attempt.attempt_id)},"sequence_id":${attempt.sequence_id},"start_time":${seconds(attempt.started_at)},"end_time":${seconds(attempt.ended_at)},"status":${quoted(attempt.status)},"worker_id":${quotedOrNull(attempt.worker_id)},"last_heartbeat_time":${seconds(attempt.last_heartbeat_at)},"metadata":${metadata === null ? "null" : verbatim(metadata)}}`;
}

export function workerText(worker: Worker): string {
  const { heartbeatStats } = worker;
  return `{"worker_id":${quoted(worker.workerId)},"status":${quoted(worker.status)},"heartbeat_stats":${heartbeatStats === null ? "null" : verbatim(heartbeatStats)},"last_heartbeat_time":${seconds(worker.lastHeartbeatAt)},"last_dequeue_time":${seconds(worker.lastDequeueAt)},"last_busy_time":${seconds(worker.lastBusyAt)},"last_idle_time":${seconds(worker.lastIdleAt)},"current_rollout_id":${quotedOrNull(worker.rolloutId)},"current_attempt_id":${quotedOrNull(worker.attemptId)}}`;
}
