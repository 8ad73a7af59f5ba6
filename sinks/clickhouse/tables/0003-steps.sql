-- One row per LLM call of a finished rollout, with the reward matched to it.
CREATE TABLE IF NOT EXISTS {database}.steps
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    group_id String CODEC(ZSTD(1)),
    attempt_id String CODEC(ZSTD(1)),
    step_index Int32,
    span_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    response_id Nullable(String) CODEC(ZSTD(1)),
    agent LowCardinality(String),
    model LowCardinality(String),
    policy_version Nullable(Int64),
    messages String CODEC(ZSTD(1)),
    completion String CODEC(ZSTD(1)),
    tools Nullable(String) CODEC(ZSTD(1)),
    prompt_ids Array(Int32) CODEC(ZSTD(1)),
    response_ids Array(Int32) CODEC(ZSTD(1)),
    logprobs Array(Float32) CODEC(ZSTD(1)),
    finish_reason LowCardinality(Nullable(String)),
    prompt_tokens Int64,
    completion_tokens Int64,
    start_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    end_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    reward Nullable(Float64),
    rewards Map(LowCardinality(String), Float64),
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
ORDER BY (project, rollout_id, attempt_id, step_index)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 1024;

-- Closes a rollout: how many steps it has, and its final reward.
CREATE TABLE IF NOT EXISTS {database}.assemblies
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    group_id String CODEC(ZSTD(1)),
    group_size Int32,
    group_deadline_seconds Float64,
    attempt_id Nullable(String) CODEC(ZSTD(1)),
    status LowCardinality(String),
    mode LowCardinality(Nullable(String)),
    resources_id Nullable(String) CODEC(ZSTD(1)),
    resources_version Nullable(Int64),
    credit_strategy LowCardinality(String),
    credit_parameters Map(LowCardinality(String), Float64),
    steps Int32,
    spans Int32,
    reward Nullable(Float64),
    rewards Map(LowCardinality(String), Float64),
    invalid_rewards Int32,
    enqueued_at Nullable(DateTime64(6, 'UTC')),
    ended_at DateTime64(6, 'UTC'),
    metadata String CODEC(ZSTD(1)),
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
ORDER BY (project, rollout_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;
