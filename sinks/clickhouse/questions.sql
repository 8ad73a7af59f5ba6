-- name: trace of a rollout
-- Every span of one rollout, as a timeline.
SELECT sequence_id, name, kind, start_time, round((toUnixTimestamp64Nano(end_time) - toUnixTimestamp64Nano(start_time)) / 1e6, 3) AS ms, status_code, span_id, parent_id
FROM spans
WHERE project = 'default' AND rollout_id = (SELECT rollout_id FROM assemblies WHERE project = 'default' ORDER BY ended_at DESC LIMIT 1)
ORDER BY sequence_id NULLS LAST, start_time;

-- name: reward by policy version
-- Is it learning?
SELECT policy_version, mode, uniqExact(rollout_id) AS rollouts, round(avg(rollout_reward), 3) AS mean_reward
FROM latest_transitions
WHERE project = 'default'
GROUP BY policy_version, mode
ORDER BY policy_version, mode;

-- name: slowest tools
SELECT tool, count() AS calls, round(quantile(0.5)(duration_ms), 2) AS p50_ms, round(quantile(0.99)(duration_ms), 2) AS p99_ms, countIf(status_code = 'ERROR') AS errors
FROM tool_calls
WHERE project = 'default'
GROUP BY tool
ORDER BY p99_ms DESC
LIMIT 10;

-- name: tokens per agent
SELECT agent, model, count() AS calls, sum(prompt_tokens) AS tokens_in, sum(completion_tokens) AS tokens_out
FROM latest_steps
WHERE project = 'default'
GROUP BY agent, model
ORDER BY tokens_in + tokens_out DESC;

-- name: retries
-- Rollouts that needed more than one attempt, and how the earlier ones ended.
SELECT rollout_id, length(attempts) AS tries, attempts.status AS how_they_ended, status
FROM rollouts
WHERE project = 'default' AND length(attempts) > 1
ORDER BY tries DESC
LIMIT 20;

-- name: late spans
-- What came after its attempt had ended, and by how much.
SELECT rollout_id, attempt_id, name, late_ms, kafka_offset - mark_offset AS records_behind
FROM late_spans
WHERE project = 'default'
ORDER BY late_ms DESC
LIMIT 20;

-- name: groups with equal rewards
-- Groups that teach nothing: every member got the same reward.
SELECT resources_id, min_policy_version, count() AS closed, countIf(equal_rewards) AS equal, round(equal / closed, 3) AS share
FROM latest_groups
WHERE project = 'default'
GROUP BY resources_id, min_policy_version
ORDER BY resources_id, min_policy_version;

-- name: why no transition
-- Calls that gave none, by the reason; lightning why ROLLOUT tells it of one rollout.
SELECT reason, agent, count() AS calls, uniqExact(rollout_id) AS rollouts, any(detail) AS for_example
FROM latest_omitted_calls
WHERE project = 'default'
GROUP BY reason, agent
ORDER BY calls DESC, reason, agent;

-- name: staleness of trained batches
-- How many versions behind was what was trained?
SELECT max_staleness, count() AS batches, sum(transitions) AS rows, max(delivery) AS deliveries
FROM batches
WHERE project = 'default' AND event = 'leased'
    AND (batch_id, lease_id) IN (SELECT batch_id, lease_id FROM batches WHERE event = 'trained')
GROUP BY max_staleness
ORDER BY max_staleness;

-- name: dead letters by reason
SELECT reader, source_topic, code, any(reason) AS for_example, count() AS records, max(at) AS last
FROM dead_letters
GROUP BY reader, source_topic, code
ORDER BY records DESC;

-- name: where a transition comes from
-- From a training row to the bytes in Kafka: topic, partition and offset of its call and its mark.
SELECT t.rollout_id AS rollout_id, t.step_index AS step_index, t.advantage AS advantage, t.policy_version AS policy_version, s.name AS span, s.kafka_topic AS topic, s.kafka_partition AS partition, s.kafka_offset AS span_offset, t.source_last_offset AS mark_offset
FROM latest_transitions AS t
INNER JOIN spans AS s ON s.project = t.project AND s.rollout_id = t.rollout_id AND s.attempt_id = t.attempt_id AND s.span_id = t.span_id
WHERE t.project = 'default'
ORDER BY t.ended_at DESC, t.step_index
LIMIT 20;
