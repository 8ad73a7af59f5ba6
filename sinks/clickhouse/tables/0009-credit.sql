-- Words of the credit strategy, the selection of calls, and what a step says of the choice it is.
ALTER TABLE {database}.rollout_changes
    ADD COLUMN IF NOT EXISTS credit_options Map(LowCardinality(String), String) AFTER credit_parameters,
    ADD COLUMN IF NOT EXISTS selection LowCardinality(String) DEFAULT '{}' AFTER credit_options;

ALTER TABLE {database}.attempt_ends
    ADD COLUMN IF NOT EXISTS credit_options Map(LowCardinality(String), String) AFTER credit_parameters,
    ADD COLUMN IF NOT EXISTS selection LowCardinality(String) DEFAULT '{}' AFTER credit_options;

ALTER TABLE {database}.projects
    ADD COLUMN IF NOT EXISTS credit_options Map(LowCardinality(String), String) AFTER credit_parameters,
    ADD COLUMN IF NOT EXISTS selection LowCardinality(String) DEFAULT '{}' AFTER credit_options;

-- A column in the key of a table that has rows must be new and without a default: 0 is what
-- the rows from before it had. The index passes over what nothing revised, nearly all of it.
ALTER TABLE {database}.steps
    ADD COLUMN IF NOT EXISTS policy LowCardinality(String) AFTER end_time,
    ADD COLUMN IF NOT EXISTS choice Int32 AFTER policy,
    ADD COLUMN IF NOT EXISTS state_id Nullable(String) CODEC(ZSTD(1)) AFTER choice,
    ADD COLUMN IF NOT EXISTS potential Nullable(Float64) AFTER state_id,
    ADD COLUMN IF NOT EXISTS temperature Nullable(Float64) AFTER potential,
    ADD COLUMN IF NOT EXISTS top_p Nullable(Float64) AFTER temperature,
    ADD COLUMN IF NOT EXISTS reward_spans Array(String) CODEC(ZSTD(1)) AFTER rewards,
    ADD COLUMN IF NOT EXISTS revision Int32 AFTER reward_spans,
    ADD INDEX IF NOT EXISTS revised revision TYPE minmax GRANULARITY 64,
    MODIFY ORDER BY (project, rollout_id, attempt_id, step_index, revision);

ALTER TABLE {database}.assemblies
    ADD COLUMN IF NOT EXISTS credit_options Map(LowCardinality(String), String) AFTER credit_parameters,
    ADD COLUMN IF NOT EXISTS selection LowCardinality(String) DEFAULT '{}' AFTER credit_options,
    ADD COLUMN IF NOT EXISTS calls Int32 DEFAULT steps AFTER steps,
    ADD COLUMN IF NOT EXISTS omitted Int32 AFTER calls,
    ADD COLUMN IF NOT EXISTS unmatched_rewards Int32 AFTER invalid_rewards,
    ADD COLUMN IF NOT EXISTS late_rewards Int32 AFTER unmatched_rewards,
    ADD COLUMN IF NOT EXISTS grace_seconds Float64 AFTER late_rewards,
    ADD COLUMN IF NOT EXISTS revision Int32 AFTER grace_seconds,
    MODIFY ORDER BY (project, rollout_id, revision);

ALTER TABLE {database}.transitions
    ADD COLUMN IF NOT EXISTS policy LowCardinality(String) AFTER end_time,
    ADD COLUMN IF NOT EXISTS choice Int32 AFTER policy,
    ADD COLUMN IF NOT EXISTS state_id Nullable(String) CODEC(ZSTD(1)) AFTER choice,
    ADD COLUMN IF NOT EXISTS potential Nullable(Float64) AFTER state_id,
    ADD COLUMN IF NOT EXISTS temperature Nullable(Float64) AFTER potential,
    ADD COLUMN IF NOT EXISTS top_p Nullable(Float64) AFTER temperature,
    ADD COLUMN IF NOT EXISTS reward_spans Array(String) CODEC(ZSTD(1)) AFTER rewards,
    ADD COLUMN IF NOT EXISTS credit_options Map(LowCardinality(String), String) AFTER credit_parameters,
    ADD INDEX IF NOT EXISTS revised revision TYPE minmax GRANULARITY 64;

ALTER TABLE {database}.groups
    ADD COLUMN IF NOT EXISTS withheld Int32 AFTER transitions,
    ADD COLUMN IF NOT EXISTS replaces Int32 DEFAULT -1 AFTER revision,
    ADD COLUMN IF NOT EXISTS credit_options Map(LowCardinality(String), String) AFTER credit_parameters;

-- Why a call gave no transition, or a rollout none at all. A span id is empty where the reason is
-- about the whole rollout; records of the topic steps belong to a revision of the rollout, those of
-- transitions to one of the group.
CREATE TABLE IF NOT EXISTS {database}.omitted_calls
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    group_id String CODEC(ZSTD(1)),
    attempt_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    agent LowCardinality(String),
    model LowCardinality(String),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    revision Int32,
    source_topic LowCardinality(String),
    source_partition Int32,
    source_first_offset Int64,
    source_last_offset Int64,
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, rollout_id, kafka_topic, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 1024;

-- What external credit strategies answered, every answer of them.
CREATE TABLE IF NOT EXISTS {database}.credit_assignments
(
    project LowCardinality(String),
    group_id String CODEC(ZSTD(1)),
    revision Int32,
    members Array(Tuple(rollout_id String, advantages Array(Float64), returns Array(Float64))) CODEC(ZSTD(1)),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, group_id, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;

-- The newest revision of each rollout's steps and its closing record. A revision writes all steps of
-- a rollout again and may have fewer, so what is older than the newest is out, whatever its index.
CREATE OR REPLACE VIEW {database}.latest_assemblies AS
SELECT *
FROM {database}.assemblies
WHERE (project, rollout_id, revision) NOT IN (
    SELECT project, rollout_id, arrayJoin(range(max(revision)))
    FROM {database}.assemblies
    WHERE revision > 0
    GROUP BY project, rollout_id);

CREATE OR REPLACE VIEW {database}.latest_steps AS
SELECT *
FROM {database}.steps
WHERE (project, rollout_id, revision) NOT IN (
    SELECT project, rollout_id, arrayJoin(range(max(revision)))
    FROM (
        SELECT project, rollout_id, revision FROM {database}.assemblies WHERE revision > 0
        UNION ALL
        SELECT DISTINCT project, rollout_id, revision FROM {database}.steps WHERE revision > 0)
    GROUP BY project, rollout_id);

-- The same for the groups: a revision writes all rows of its group again.
CREATE OR REPLACE VIEW {database}.latest_groups AS
SELECT *
FROM {database}.groups
WHERE (project, group_id, revision) NOT IN (
    SELECT project, group_id, arrayJoin(range(max(revision)))
    FROM {database}.groups
    WHERE revision > 0
    GROUP BY project, group_id);

-- The transitions that count: the newest revision of each group.
CREATE OR REPLACE VIEW {database}.latest_transitions AS
SELECT *
FROM {database}.transitions
WHERE (project, group_id, revision) NOT IN (
    SELECT project, group_id, arrayJoin(range(max(revision)))
    FROM (
        SELECT project, group_id, revision FROM {database}.groups WHERE revision > 0
        UNION ALL
        SELECT DISTINCT project, group_id, revision FROM {database}.transitions WHERE revision > 0)
    GROUP BY project, group_id);

-- The reasons that still hold: of the newest revision of the rollout, or of its group.
CREATE OR REPLACE VIEW {database}.latest_omitted_calls AS
SELECT *
FROM {database}.omitted_calls
WHERE (kafka_topic = 'transitions' OR (project, rollout_id, revision) NOT IN (
        SELECT project, rollout_id, arrayJoin(range(max(revision)))
        FROM {database}.assemblies
        WHERE revision > 0
        GROUP BY project, rollout_id))
    AND (kafka_topic != 'transitions' OR (project, group_id, revision) NOT IN (
        SELECT project, group_id, arrayJoin(range(max(revision)))
        FROM {database}.groups
        WHERE revision > 0
        GROUP BY project, group_id));

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
    argMax(c.credit_options, c.request_offset) AS credit_options,
    argMax(c.selection, c.request_offset) AS selection,
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
