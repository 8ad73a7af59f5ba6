-- One training row per step, every revision of it.
CREATE TABLE IF NOT EXISTS {database}.transitions
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    group_id String CODEC(ZSTD(1)),
    attempt_id String CODEC(ZSTD(1)),
    step_index Int32,
    step_count Int32,
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
    loss_mask Array(UInt8) CODEC(ZSTD(1)),
    reward Nullable(Float64),
    rewards Map(LowCardinality(String), Float64),
    rollout_reward Nullable(Float64),
    return_value Float64,
    advantage Float64,
    weight Float64,
    credit_strategy LowCardinality(String),
    credit_parameters Map(LowCardinality(String), Float64),
    group_size Int32,
    group_members Int32,
    mode LowCardinality(Nullable(String)),
    resources_id Nullable(String) CODEC(ZSTD(1)),
    resources_version Nullable(Int64),
    rollout_status LowCardinality(String),
    metadata String CODEC(ZSTD(1)),
    ended_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
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
ORDER BY (project, rollout_id, attempt_id, step_index, revision)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 1024;

-- Closes a group: its members, its rewards, and how many rows it has.
CREATE TABLE IF NOT EXISTS {database}.groups
(
    project LowCardinality(String),
    group_id String CODEC(ZSTD(1)),
    revision Int32,
    reason LowCardinality(String),
    group_size Int32,
    members Array(String) CODEC(ZSTD(1)),
    transitions Int32,
    mode LowCardinality(Nullable(String)),
    resources_id Nullable(String) CODEC(ZSTD(1)),
    mean_reward Nullable(Float64),
    std_reward Nullable(Float64),
    equal_rewards Bool,
    min_policy_version Nullable(Int64),
    max_policy_version Nullable(Int64),
    credit_strategy LowCardinality(String),
    credit_parameters Map(LowCardinality(String), Float64),
    closed_at DateTime64(6, 'UTC'),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, group_id, revision)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;

-- The transitions that count: of each step the newest revision.
CREATE VIEW IF NOT EXISTS {database}.latest_transitions AS
SELECT *
FROM {database}.transitions
ORDER BY revision DESC
LIMIT 1 BY project, rollout_id, attempt_id, step_index;
