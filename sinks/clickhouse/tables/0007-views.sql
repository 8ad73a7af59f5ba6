-- The columns of the OpenTelemetry Collector's ClickHouse exporter, so that Grafana, HyperDX and
-- the like work on our spans as they are.
CREATE VIEW IF NOT EXISTS {database}.otel_traces AS
SELECT
    CAST(s.start_time, 'DateTime64(9)') AS Timestamp,
    s.trace_id AS TraceId,
    s.span_id AS SpanId,
    ifNull(s.parent_id, '') AS ParentSpanId,
    s.trace_state AS TraceState,
    s.name AS SpanName,
    CAST(concat(upper(substring(s.kind, 1, 1)), lower(substring(s.kind, 2))), 'LowCardinality(String)') AS SpanKind,
    s.service_name AS ServiceName,
    CAST(mapConcat(
        s.resource.strings,
        s.resource.others,
        map('agentlightning.project', toString(s.project),
            'agentlightning.rollout_id', s.rollout_id,
            'agentlightning.attempt_id', s.attempt_id)), 'Map(LowCardinality(String), String)') AS ResourceAttributes,
    s.scope_name::String AS ScopeName,
    s.scope_version::String AS ScopeVersion,
    CAST(mapConcat(
        s.attributes.strings,
        mapApply((k, v) -> (k, toString(v)), s.attributes.longs),
        mapApply((k, v) -> (k, toString(v)), s.attributes.doubles),
        mapApply((k, v) -> (k, toString(v)), s.attributes.booleans),
        mapApply((k, v) -> (k, toString(v)), s.attributes.int_lists),
        mapApply((k, v) -> (k, toString(v)), s.attributes.double_lists),
        s.attributes.json), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    toUInt64(greatest(0, toUnixTimestamp64Nano(s.end_time) - toUnixTimestamp64Nano(s.start_time))) AS Duration,
    CAST(concat(upper(substring(s.status_code, 1, 1)), lower(substring(s.status_code, 2))), 'LowCardinality(String)') AS StatusCode,
    ifNull(s.status_message, '') AS StatusMessage,
    CAST(s.events.time, 'Array(DateTime64(9))') AS `Events.Timestamp`,
    CAST(s.events.name, 'Array(LowCardinality(String))') AS `Events.Name`,
    CAST(arrayMap(e -> mapConcat(e.strings, e.others), s.events), 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    s.links.trace_id AS `Links.TraceId`,
    s.links.span_id AS `Links.SpanId`,
    s.links.trace_state AS `Links.TraceState`,
    CAST(arrayMap(l -> mapConcat(l.strings, l.others), s.links), 'Array(Map(LowCardinality(String), String))') AS `Links.Attributes`
FROM {database}.spans AS s;

-- Calls of language models, by the names of OpenTelemetry, OpenInference and AgentOps.
CREATE VIEW IF NOT EXISTS {database}.llm_calls AS
SELECT
    s.project AS project,
    s.rollout_id AS rollout_id,
    s.attempt_id AS attempt_id,
    s.sequence_id AS sequence_id,
    s.trace_id AS trace_id,
    s.span_id AS span_id,
    s.parent_id AS parent_id,
    s.name AS name,
    s.start_time AS start_time,
    (toUnixTimestamp64Nano(s.end_time) - toUnixTimestamp64Nano(s.start_time)) / 1e6 AS duration_ms,
    s.status_code AS status_code,
    s.status_message AS status_message,
    coalesce(nullIf(s.attributes.strings['gen_ai.response.model'], ''), nullIf(s.attributes.strings['gen_ai.request.model'], ''), s.attributes.strings['llm.model_name']) AS model,
    coalesce(nullIf(s.attributes.strings['gen_ai.agent.name'], ''), nullIf(s.attributes.strings['agent.name'], ''), s.resource.strings['gen_ai.agent.name']) AS agent,
    greatest(s.attributes.longs['gen_ai.usage.input_tokens'], s.attributes.longs['gen_ai.usage.prompt_tokens'], s.attributes.longs['llm.token_count.prompt'], toInt64(length(s.attributes.int_lists['prompt_token_ids']))) AS prompt_tokens,
    greatest(s.attributes.longs['gen_ai.usage.output_tokens'], s.attributes.longs['gen_ai.usage.completion_tokens'], s.attributes.longs['llm.token_count.completion'], toInt64(length(s.attributes.int_lists['response_token_ids']))) AS completion_tokens,
    coalesce(nullIf(s.attributes.strings['gen_ai.input.messages'], ''), nullIf(s.attributes.json['gen_ai.input.messages'], ''), s.attributes.strings['gen_ai.prompt']) AS messages,
    coalesce(nullIf(s.attributes.strings['gen_ai.output.messages'], ''), nullIf(s.attributes.json['gen_ai.output.messages'], ''), s.attributes.strings['gen_ai.completion']) AS completion,
    if(mapContains(s.attributes.longs, 'lightning.policy.version'), s.attributes.longs['lightning.policy.version'], NULL) AS policy_version,
    s.kafka_partition AS kafka_partition,
    s.kafka_offset AS kafka_offset,
    s.kafka_timestamp AS kafka_timestamp
FROM {database}.spans AS s
WHERE match(s.name, 'openai\\.chat\\.completion')
    OR s.attributes.strings['gen_ai.operation.name'] IN ('chat', 'text_completion', 'generate_content')
    OR s.attributes.strings['openinference.span.kind'] = 'LLM'
    OR mapContains(s.attributes.strings, 'gen_ai.request.model');

-- Calls of tools.
CREATE VIEW IF NOT EXISTS {database}.tool_calls AS
SELECT
    s.project AS project,
    s.rollout_id AS rollout_id,
    s.attempt_id AS attempt_id,
    s.sequence_id AS sequence_id,
    s.trace_id AS trace_id,
    s.span_id AS span_id,
    s.parent_id AS parent_id,
    coalesce(nullIf(s.attributes.strings['gen_ai.tool.name'], ''), nullIf(s.attributes.strings['tool.name'], ''), nullIf(s.attributes.strings['traceloop.entity.name'], ''), nullIf(s.attributes.strings['agentlightning.operation.name'], ''), s.name) AS tool,
    s.start_time AS start_time,
    (toUnixTimestamp64Nano(s.end_time) - toUnixTimestamp64Nano(s.start_time)) / 1e6 AS duration_ms,
    s.status_code AS status_code,
    s.status_message AS status_message,
    coalesce(nullIf(s.attributes.strings['gen_ai.tool.call.arguments'], ''), nullIf(s.attributes.json['gen_ai.tool.call.arguments'], ''), s.attributes.strings['input.value']) AS arguments,
    coalesce(nullIf(s.attributes.strings['gen_ai.tool.call.result'], ''), nullIf(s.attributes.json['gen_ai.tool.call.result'], ''), s.attributes.strings['output.value']) AS result,
    s.kafka_partition AS kafka_partition,
    s.kafka_offset AS kafka_offset,
    s.kafka_timestamp AS kafka_timestamp
FROM {database}.spans AS s
WHERE s.attributes.strings['gen_ai.operation.name'] = 'execute_tool'
    OR s.attributes.strings['openinference.span.kind'] = 'TOOL'
    OR s.attributes.strings['traceloop.span.kind'] = 'tool'
    OR mapContains(s.attributes.strings, 'gen_ai.tool.name')
    OR (s.name = 'agentlightning.operation' AND s.attributes.strings['agentlightning.operation.name'] != 'agentlightning.reward');

-- Every dimension of every reward an agent emitted; dimension 0 is the primary one.
CREATE VIEW IF NOT EXISTS {database}.rewards AS
SELECT
    s.project AS project,
    s.rollout_id AS rollout_id,
    s.attempt_id AS attempt_id,
    s.sequence_id AS sequence_id,
    s.span_id AS span_id,
    s.parent_id AS parent_id,
    s.start_time AS time,
    toUInt32OrZero(extract(dimension.1, '(\\d+)')) AS position,
    position = 0 AS primary,
    s.attributes.strings[concat('agentlightning.reward.', toString(position), '.name')] AS name,
    dimension.2 AS value,
    s.kafka_partition AS kafka_partition,
    s.kafka_offset AS kafka_offset,
    s.kafka_timestamp AS kafka_timestamp
FROM {database}.spans AS s
ARRAY JOIN arrayConcat(
    arrayMap(k -> (toString(k), s.attributes.doubles[k]), arrayFilter(k -> match(k, '^agentlightning\\.reward\\.\\d+\\.value$'), mapKeys(s.attributes.doubles))),
    arrayMap(k -> (toString(k), toFloat64(s.attributes.longs[k])), arrayFilter(k -> match(k, '^agentlightning\\.reward\\.\\d+\\.value$'), mapKeys(s.attributes.longs)))
) AS dimension
WHERE mapContains(s.attributes.doubles, 'agentlightning.reward.0.value') OR mapContains(s.attributes.longs, 'agentlightning.reward.0.value');

-- Spans that came after their attempt's mark, and how far behind it.
CREATE VIEW IF NOT EXISTS {database}.late_spans AS
SELECT
    s.project AS project,
    s.rollout_id AS rollout_id,
    s.attempt_id AS attempt_id,
    s.span_id AS span_id,
    s.name AS name,
    s.start_time AS start_time,
    e.ended_at AS attempt_ended_at,
    dateDiff('millisecond', e.kafka_timestamp, s.kafka_timestamp) AS late_ms,
    s.kafka_offset AS kafka_offset,
    e.kafka_offset AS mark_offset
FROM {database}.spans AS s
INNER JOIN {database}.attempt_ends AS e
    ON s.project = e.project AND s.rollout_id = e.rollout_id AND s.attempt_id = e.attempt_id AND s.kafka_partition = e.kafka_partition
WHERE s.kafka_offset > e.kafka_offset;
