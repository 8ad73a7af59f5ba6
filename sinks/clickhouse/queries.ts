import { packFloat32, packInt32 } from "../../schemas/bytes.ts";
import type { Attempt, RolloutChanged, TransitionRecorded } from "../../schemas/types.ts";
import { type ClickHouseClient, double, literals, longQuery, rowsOf } from "./client.ts";

/** What only the fold needs of a rollout, and no table keeps. */
type FoldOnly = "recent_requests" | "recent_sequences" | "marked_attempts" | "keeps_place";

/** A change of a rollout with its place in the log. */
export type RolloutChange = Omit<RolloutChanged, FoldOnly> & {
  readonly kafka_partition: number;
  readonly kafka_offset: number;
};

type FlatChange = Omit<RolloutChange, "config" | "credit"> &
  RolloutChanged["config"] & {
    readonly credit_strategy: string;
    readonly credit_parameters: { [name: string]: number };
    readonly credit_options: { [name: string]: string };
    readonly kafka_topic: string;
    readonly kafka_timestamp: string;
  };

const micros = (column: string): string => `toUnixTimestamp64Micro(${column}) AS ${column}`;

const changeColumns = `* REPLACE(
  ${micros("enqueued_at")}, ${micros("queued_at")}, ${micros("ended_at")},
  arrayMap(a -> CAST((a.attempt_id, a.sequence_id, a.status, a.worker_id,
      toUnixTimestamp64Micro(a.started_at), toUnixTimestamp64Micro(a.ended_at),
      toUnixTimestamp64Micro(a.last_heartbeat_at), a.metadata),
    'Tuple(attempt_id String, sequence_id Int32, status String, worker_id Nullable(String),
      started_at Int64, ended_at Nullable(Int64), last_heartbeat_at Nullable(Int64),
      metadata Nullable(String))'), attempts) AS attempts)`;

function changeOf(row: FlatChange): RolloutChange {
  const { timeout_seconds, unresponsive_seconds, max_attempts, retry_condition, ...rest } = row;
  const { grace_seconds, claim_seconds, retention_seconds, ...others } = rest;
  const { credit_strategy, credit_parameters, credit_options, ...facts } = others;
  const { kafka_topic: _topic, kafka_timestamp: _timestamp, ...change } = facts;
  const limits = { timeout_seconds, unresponsive_seconds, max_attempts, retry_condition };
  return {
    ...change,
    attempts: row.attempts as Attempt[],
    config: { ...limits, grace_seconds, claim_seconds, retention_seconds },
    credit: {
      strategy: credit_strategy,
      parameters: credit_parameters,
      options: credit_options,
    },
  };
}

/** The changes of a rollout as commits left them, oldest first; empty when it is unknown. */
export async function rolloutHistory(
  client: ClickHouseClient,
  project: string,
  rolloutId: string,
): Promise<readonly RolloutChange[]> {
  const rows = await rowsOf<FlatChange>(
    client,
    `SELECT ${changeColumns} FROM rollout_changes
     WHERE project = {project:String} AND rollout_id = {rolloutId:String}
     ORDER BY request_offset`,
    { project, rolloutId },
  );
  return rows.map(changeOf);
}

/** Rollouts as their last change left them, in no order; unknown ids are left out. */
export async function rolloutsById(
  client: ClickHouseClient,
  project: string,
  rolloutIds: readonly string[],
): Promise<readonly RolloutChange[]> {
  const rows = await rowsOf<FlatChange>(
    client,
    `SELECT ${changeColumns} FROM rollout_changes
     WHERE project = {project:String} AND rollout_id IN ${literals(rolloutIds)}
     ORDER BY rollout_id, request_offset DESC LIMIT 1 BY rollout_id`,
    { project },
    longQuery,
  );
  return rows.map(changeOf);
}

/** The columns of a transition under the names of its record. */
export const transitionColumns = `* EXCEPT(kafka_topic, kafka_partition, kafka_offset,
    kafka_timestamp, credit_strategy, credit_parameters, credit_options, source_topic,
    source_partition, source_first_offset, source_last_offset)
  REPLACE(${micros("start_time")}, ${micros("end_time")}, ${micros("ended_at")}),
  CAST((credit_strategy, credit_parameters, credit_options), 'Tuple(strategy String,
    parameters Map(String, Float64), options Map(String, String))') AS credit,
  CAST((source_topic, source_partition, source_first_offset, source_last_offset),
    'Tuple(topic String, partition Int32, first_offset Int64, last_offset Int64)') AS provenance`;

/** A row of {@link transitionColumns}. */
export type FlatTransition = Record<string, unknown> & {
  readonly prompt_ids: number[];
  readonly response_ids: number[];
  readonly logprobs: unknown[];
  readonly loss_mask: number[];
};

/** The transitions of a rollout that count (newest revision of its group), in order of steps. */
export async function transitionsOf(
  client: ClickHouseClient,
  project: string,
  rolloutId: string,
): Promise<readonly TransitionRecorded[]> {
  const rows = await rowsOf<FlatTransition>(
    client,
    `SELECT ${transitionColumns}
     FROM latest_transitions
     WHERE project = {project:String} AND rollout_id = {rolloutId:String}
     ORDER BY attempt_id, step_index`,
    { project, rolloutId },
  );
  return rows.map(transitionOf);
}

export function transitionOf(row: FlatTransition): TransitionRecorded {
  return {
    ...(row as unknown as TransitionRecorded),
    prompt_ids: packInt32(row.prompt_ids),
    response_ids: packInt32(row.response_ids),
    logprobs: packFloat32(row.logprobs.map(double)),
    loss_mask: Uint8Array.from(row.loss_mask),
  };
}
