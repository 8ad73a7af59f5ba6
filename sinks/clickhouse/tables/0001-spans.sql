-- One wide, immutable row per span. The key is the span's identity, because a rollout is what is
-- asked for; 1024 rows a granule, because a row is wide and a rollout is a few dozen of them.
CREATE TABLE IF NOT EXISTS {database}.spans
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    attempt_id String CODEC(ZSTD(1)),
    sequence_id Nullable(Int64) CODEC(T64, ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_id Nullable(String) CODEC(ZSTD(1)),
    name LowCardinality(String),
    kind LowCardinality(String),
    start_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    end_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    status_code LowCardinality(String),
    status_message Nullable(String) CODEC(ZSTD(1)),
    service_name LowCardinality(String),
    attributes Tuple(
        strings Map(LowCardinality(String), String),
        longs Map(LowCardinality(String), Int64),
        doubles Map(LowCardinality(String), Float64),
        booleans Map(LowCardinality(String), Bool),
        int_lists Map(LowCardinality(String), Array(Int32)),
        double_lists Map(LowCardinality(String), Array(Float64)),
        json Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    resource Tuple(
        strings Map(LowCardinality(String), String),
        others Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    resource_schema_url LowCardinality(String),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    trace_state String CODEC(ZSTD(1)),
    flags Int64 CODEC(T64, ZSTD(1)),
    events Array(Tuple(
        name String,
        time DateTime64(9, 'UTC'),
        strings Map(LowCardinality(String), String),
        others Map(LowCardinality(String), String),
        dropped_attributes Int64)) CODEC(ZSTD(1)),
    links Array(Tuple(
        trace_id String,
        span_id String,
        trace_state String,
        strings Map(LowCardinality(String), String),
        others Map(LowCardinality(String), String),
        dropped_attributes Int64)) CODEC(ZSTD(1)),
    dropped_attributes Int64 CODEC(T64, ZSTD(1)),
    dropped_events Int64 CODEC(T64, ZSTD(1)),
    dropped_links Int64 CODEC(T64, ZSTD(1)),
    extra Nullable(String) CODEC(ZSTD(1)),
    kafka_topic LowCardinality(String),
    kafka_partition Int32 CODEC(T64, ZSTD(1)),
    kafka_offset Int64 CODEC(Delta, ZSTD(1)),
    kafka_timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX rollout_ids rollout_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX trace_ids trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, rollout_id, attempt_id, span_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 1024;

-- The mark behind everything an attempt's agent had acknowledged.
CREATE TABLE IF NOT EXISTS {database}.attempt_ends
(
    project LowCardinality(String),
    rollout_id String CODEC(ZSTD(1)),
    attempt_id String CODEC(ZSTD(1)),
    attempt_sequence_id Int32,
    attempt_status LowCardinality(String),
    final Bool,
    rollout_status LowCardinality(String),
    mode LowCardinality(Nullable(String)),
    resources_id Nullable(String) CODEC(ZSTD(1)),
    resources_version Nullable(Int64),
    group_id String CODEC(ZSTD(1)),
    group_size Int32,
    group_deadline_seconds Float64,
    credit_strategy LowCardinality(String),
    credit_parameters Map(LowCardinality(String), Float64),
    grace_seconds Float64,
    metadata String CODEC(ZSTD(1)),
    enqueued_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    ended_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    request_offset Int64,
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, rollout_id, attempt_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;
