-- Every version of every resource set; its weights inline where they are in the log.
CREATE TABLE IF NOT EXISTS {database}.resources
(
    project LowCardinality(String),
    resources_id String CODEC(ZSTD(1)),
    version Int64,
    created_at DateTime64(6, 'UTC'),
    updated_at DateTime64(6, 'UTC'),
    resources Array(Tuple(
        name String,
        kind LowCardinality(String),
        json String,
        blob Nullable(String))) CODEC(ZSTD(1)),
    batch_id Nullable(String) CODEC(ZSTD(1)),
    request_id Nullable(String) CODEC(ZSTD(1)),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, resources_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;

-- Every version of every project's settings.
CREATE TABLE IF NOT EXISTS {database}.projects
(
    project LowCardinality(String),
    version Int64,
    credit_strategy LowCardinality(String),
    credit_parameters Map(LowCardinality(String), Float64),
    group_deadline_seconds Float64,
    grace_seconds Float64,
    updated_at DateTime64(6, 'UTC'),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;

-- What became of training batches: leased, trained, or why they came back (expired, refused, stale, …).
CREATE TABLE IF NOT EXISTS {database}.batches
(
    project LowCardinality(String),
    batch_id String CODEC(ZSTD(1)),
    lease_id String CODEC(ZSTD(1)),
    event LowCardinality(String),
    worker_id String CODEC(ZSTD(1)),
    groups Array(String) CODEC(ZSTD(1)),
    transitions Int32,
    tokens Nullable(Int64),
    delivery Int32,
    policy_version Nullable(Int64),
    max_staleness Nullable(Int64),
    metrics Map(LowCardinality(String), Float64),
    resources_id Nullable(String) CODEC(ZSTD(1)),
    resources_version Nullable(Int64),
    detail Nullable(String) CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC'),
    expires_at Nullable(DateTime64(6, 'UTC')),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (project, batch_id, lease_id, event)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;
