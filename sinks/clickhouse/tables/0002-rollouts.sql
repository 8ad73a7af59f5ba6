-- Every accepted change of every rollout, as the log has them; neighbours repeat the task, which
-- ZSTD folds away.
CREATE TABLE IF NOT EXISTS {database}.rollout_changes
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    request_offset Int64,
    status LowCardinality(String),
    input String CODEC(ZSTD(1)),
    mode LowCardinality(Nullable(String)),
    resources_id Nullable(String) CODEC(ZSTD(1)),
    resources_version Nullable(Int64),
    timeout_seconds Nullable(Float64),
    unresponsive_seconds Nullable(Float64),
    max_attempts Int32,
    retry_condition Array(LowCardinality(String)),
    grace_seconds Float64,
    claim_seconds Nullable(Float64),
    metadata String CODEC(ZSTD(1)),
    group_id String CODEC(ZSTD(1)),
    group_size Int32,
    group_deadline_seconds Float64,
    credit_strategy LowCardinality(String),
    credit_parameters Map(LowCardinality(String), Float64),
    enqueued_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    queued_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    ended_at Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    attempts Array(Tuple(
        attempt_id String,
        sequence_id Int32,
        status LowCardinality(String),
        worker_id Nullable(String),
        started_at DateTime64(6, 'UTC'),
        ended_at Nullable(DateTime64(6, 'UTC')),
        last_heartbeat_at Nullable(DateTime64(6, 'UTC')),
        metadata Nullable(String))) CODEC(ZSTD(1)),
    next_sequence_id Int64,
    error Nullable(String) CODEC(ZSTD(1)),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, rollout_id, request_offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 1024;

-- Each rollout as its last change left it. The tuples keep a null of the last change from being
-- passed over, as argMax does with bare nulls.
CREATE VIEW IF NOT EXISTS {database}.rollouts AS
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

-- Every attempt of every rollout as the last change left it.
CREATE VIEW IF NOT EXISTS {database}.attempts AS
SELECT
    r.project AS project,
    r.rollout_id AS rollout_id,
    a.attempt_id AS attempt_id,
    a.sequence_id AS sequence_id,
    a.status AS status,
    a.worker_id AS worker_id,
    a.started_at AS started_at,
    a.ended_at AS ended_at,
    a.last_heartbeat_at AS last_heartbeat_at,
    a.metadata AS metadata,
    r.status AS rollout_status,
    r.mode AS mode,
    r.resources_id AS resources_id,
    r.resources_version AS resources_version
FROM {database}.rollouts AS r
ARRAY JOIN r.attempts AS a;
