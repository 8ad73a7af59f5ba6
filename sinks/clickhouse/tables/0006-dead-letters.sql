-- Records that can never succeed, whole: who refused them, where they stand and why.
CREATE TABLE IF NOT EXISTS {database}.dead_letters
(
    reader LowCardinality(String),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64,
    source_timestamp DateTime64(6, 'UTC'),
    project LowCardinality(String),
    key Nullable(String) CODEC(ZSTD(1)),
    value Nullable(String) CODEC(ZSTD(1)),
    headers Map(String, String) CODEC(ZSTD(1)),
    code LowCardinality(String),
    reason String CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC'),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    kafka_timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_timestamp)
ORDER BY (reader, source_topic, source_partition, source_offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000;
