import { type ClickHouseClient, command, rowsOf } from "../../sinks/clickhouse/client.ts";

/** Changes of a rollout that came, was claimed and ended: as many as the fold publishes. */
const changesEach = 3;
const spansEach = 10;
/** Days over which the past is spread, the newest yesterday: two or three monthly partitions. */
const days = 30;

/** Ids of the past have no order in time within a batch, as random ones do not. */
const idOf = (n: string): string => `concat('ro-', leftPad(lower(hex(intHash64(${n}))), 16, '0'))`;
const attemptOf = (n: string): string => `concat('at-', lower(hex(intHash64(${n} + 1))))`;
const secondsAgo = (n: string, rollouts: number): string =>
  `toInt64(86400 * (1 + ${days} * (1 - ${n} / ${rollouts})))`;

/**
 * Rollouts that finished and are past their retention: three changes each in ClickHouse, nothing on
 * any topic, as after their tombstones. Their places are before the log's first, which no live row
 * has.
 */
export async function fillPast(
  client: ClickHouseClient,
  { rollouts, withSpans }: { readonly rollouts: number; readonly withSpans: number },
): Promise<void> {
  if (rollouts === 0) return;
  const changes = rollouts * changesEach;
  await command(
    client,
    `INSERT INTO rollout_changes (project, rollout_id, request_offset, status, input, mode,
       max_attempts, grace_seconds, claim_seconds, metadata, group_id, group_size,
       group_deadline_seconds, credit_strategy, enqueued_at, queued_at, ended_at, attempts,
       next_sequence_id, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp)
     WITH intDiv(number, ${changesEach}) AS n, number % ${changesEach} AS change,
       now64(6, 'UTC') - toIntervalSecond(${secondsAgo("n", rollouts)}) AS began,
       if(n % 10 = 0, 'failed', 'succeeded') AS outcome,
       if(change = 2, began + toIntervalSecond(60), NULL) AS ended
     SELECT 'default', ${idOf("n")} AS id, toInt64(number) - ${changes},
       multiIf(change = 0, 'queuing', change = 1, 'preparing', outcome),
       concat('{"task":"Find a room for 4 people at 10:00 with a whiteboard","index":', toString(n), '}'),
       'train', 1, 5, 600, '{}', id, 1, 600, 'final-reward', began, began, ended,
       if(change = 0, [], [(${attemptOf("n")}, 1, if(change = 1, 'preparing', outcome),
         concat('runner-', toString(n % 16)), began + toIntervalSecond(1), ended, ended, NULL)]),
       if(change = 2, ${spansEach} + 1, 1), 'rollouts', n % 2, toInt64(number) - ${changes},
       toDateTime64(began + toIntervalSecond(change * 30), 3, 'UTC')
     FROM numbers(${changes})`,
    { max_block_size: "100000" },
  );
  const spans = withSpans * spansEach;
  await command(
    client,
    `INSERT INTO spans (project, rollout_id, attempt_id, sequence_id, trace_id, span_id, name, kind,
       start_time, end_time, status_code, service_name, scope_name, kafka_topic, kafka_partition,
       kafka_offset, kafka_timestamp)
     WITH intDiv(number, ${spansEach}) AS n,
       now64(9, 'UTC') - toIntervalSecond(${secondsAgo("n", rollouts)}) AS began
     SELECT 'default', ${idOf("n")}, ${attemptOf("n")}, number % ${spansEach} + 1,
       leftPad(lower(hex(n)), 32, '1'), leftPad(lower(hex(number)), 16, '1'),
       'openai.chat.completion', 'CLIENT', began, began + toIntervalSecond(1), 'OK', 'bench',
       'bench', 'spans', n % 2, toInt64(number) - ${spans}, toDateTime64(began, 3, 'UTC')
     FROM numbers(${spans})`,
  );
}

/** Ids of the first past rollouts, which are those with spans; any place of the primary key. */
export async function pastIds(client: ClickHouseClient, count: number): Promise<string[]> {
  const rows = await rowsOf<{ readonly id: string }>(
    client,
    `SELECT ${idOf("number")} AS id FROM numbers(${count})`,
  );
  return rows.map(({ id }) => id);
}
