-- How long a finished rollout stays with the gateways; an hour before it could be set.
ALTER TABLE {database}.rollout_changes
    ADD COLUMN IF NOT EXISTS retention_seconds Float64 DEFAULT 3600 AFTER claim_seconds;

-- Each rollout as its last change left it. The tuples keep a null of the last change from being
-- passed over, as argMax does with bare nulls.
CREATE OR REPLACE VIEW {database}.rollouts AS
SELECT
    project,
    rollout_id,
    argMax(c.status, c.request_offset) AS status,
    argMax(c.input, c.request_offset) AS input,
    argMax(tuple(c.mode), c.request_offset).1 AS mode,
    argMax(tuple(c.resources_id), c.request_offset).1 AS resources_id,
    argMax(tuple(c.resources_version), c.request_offset).1 AS resources_version,
    argMax(tuple(c.timeout_seconds), c.request_offset).1 AS timeout_seconds,
    argMax(tuple(c.unresponsive_seconds), c.request_offset).1 AS unresponsive_seconds,
    argMax(c.max_attempts, c.request_offset) AS max_attempts,
    argMax(c.retry_condition, c.request_offset) AS retry_condition,
    argMax(c.grace_seconds, c.request_offset) AS grace_seconds,
    argMax(tuple(c.claim_seconds), c.request_offset).1 AS claim_seconds,
    argMax(c.retention_seconds, c.request_offset) AS retention_seconds,
    argMax(c.metadata, c.request_offset) AS metadata,
    argMax(c.group_id, c.request_offset) AS group_id,
    argMax(c.group_size, c.request_offset) AS group_size,
    argMax(c.group_deadline_seconds, c.request_offset) AS group_deadline_seconds,
    argMax(c.credit_strategy, c.request_offset) AS credit_strategy,
    argMax(c.credit_parameters, c.request_offset) AS credit_parameters,
    argMax(c.enqueued_at, c.request_offset) AS enqueued_at,
    argMax(c.queued_at, c.request_offset) AS queued_at,
    argMax(tuple(c.ended_at), c.request_offset).1 AS ended_at,
    argMax(c.attempts, c.request_offset) AS attempts,
    argMax(c.next_sequence_id, c.request_offset) AS next_sequence_id,
    argMax(tuple(c.error), c.request_offset).1 AS error,
    max(c.request_offset) AS request_offset,
    argMax(c.kafka_topic, c.request_offset) AS kafka_topic,
    argMax(c.kafka_partition, c.request_offset) AS kafka_partition,
    argMax(c.kafka_offset, c.request_offset) AS kafka_offset,
    argMax(c.kafka_timestamp, c.request_offset) AS kafka_timestamp
FROM {database}.rollout_changes AS c
GROUP BY project, rollout_id;

-- Snapshots of workers as gateways wrote them: each group of fields with the time it is of.
CREATE TABLE IF NOT EXISTS {database}.worker_changes
(
    project LowCardinality(String),
    worker_id String CODEC(ZSTD(1)),
    first_seen_at DateTime64(6, 'UTC'),
    last_heartbeat_at Nullable(DateTime64(6, 'UTC')),
    stats_at Nullable(DateTime64(6, 'UTC')),
    heartbeat_stats Nullable(String) CODEC(ZSTD(1)),
    last_dequeue_at Nullable(DateTime64(6, 'UTC')),
    status_at Nullable(DateTime64(6, 'UTC')),
    status LowCardinality(String),
    status_order Int64,
    current_at Nullable(DateTime64(6, 'UTC')),
    current_order Int64,
    rollout_id Nullable(String) CODEC(ZSTD(1)),
    attempt_id Nullable(String) CODEC(ZSTD(1)),
    last_busy_at Nullable(DateTime64(6, 'UTC')),
    last_idle_at Nullable(DateTime64(6, 'UTC')),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, worker_id, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;

-- Each worker: the latest of every group of fields. A null of a group that nobody set sorts first.
CREATE VIEW IF NOT EXISTS {database}.workers AS
SELECT
    project,
    worker_id,
    min(w.first_seen_at) AS first_seen_at,
    max(w.last_heartbeat_at) AS last_heartbeat_at,
    argMax(tuple(w.heartbeat_stats), coalesce(w.stats_at, toDateTime64(0, 6, 'UTC'))).1 AS heartbeat_stats,
    max(w.last_dequeue_at) AS last_dequeue_at,
    argMax(w.status, (coalesce(w.status_at, toDateTime64(0, 6, 'UTC')), w.status_order)) AS status,
    argMax(tuple(w.rollout_id), (coalesce(w.current_at, toDateTime64(0, 6, 'UTC')), w.current_order)).1 AS rollout_id,
    argMax(tuple(w.attempt_id), (coalesce(w.current_at, toDateTime64(0, 6, 'UTC')), w.current_order)).1 AS attempt_id,
    max(w.last_busy_at) AS last_busy_at,
    max(w.last_idle_at) AS last_idle_at
FROM {database}.worker_changes AS w
GROUP BY project, worker_id;
