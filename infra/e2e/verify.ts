import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type TopicName, topics } from "../../schemas/topics.ts";
import { type ClickHouseClient, rowsOf } from "../../sinks/clickhouse/client.ts";
import { duplicates } from "../../sinks/clickhouse/queries-figures.ts";
import { type Tailed, tailPartition } from "../fold-partition.ts";
import { topicOffsets } from "../kafka/admin.ts";
import { essence, type Load, oracle } from "./load.ts";
import { clickHouseOfStack, type Stack, until } from "./stack.ts";

/** Every committed record of a topic. */
export async function recordsOf(stack: Stack, topic: TopicName): Promise<Tailed[]> {
  const { client, codec } = stack.context;
  await codec.prepare(topic, topics[topic].records);
  const all: Tailed[] = [];
  const partitions = await topicOffsets(client, topic);
  for (const { partition, earliest } of partitions) {
    const options = { topic, partition, from: earliest, once: true };
    await tailPartition(client, codec, options, (tailed) => all.push(tailed), assert.fail).caughtUp;
  }
  return all;
}

/** The groups that stand closed on `transitions`. */
async function closedGroups(stack: Stack): Promise<Set<string>> {
  const closed = (await recordsOf(stack, "transitions")).flatMap(({ record }) =>
    record?.type === "GroupClosed" ? [record.value.group_id] : [],
  );
  assert.equal(new Set(closed).size, closed.length, "a group is closed once");
  return new Set(closed);
}

/**
 * Holds a run against its oracle: the transitions in Kafka as a read_committed reader sees them, and
 * the rows in ClickHouse without FINAL. None lost, none twice, none different.
 */
export async function verifyRun(
  stack: Stack,
  loads: readonly Load[],
  withinMs: number,
): Promise<void> {
  const wanted = loads.flatMap((load) => load.groups);
  let missing = wanted.length;
  await until(
    () => `${missing} of ${wanted.length} groups are not closed`,
    withinMs,
    async () => {
      const closed = await closedGroups(stack);
      missing = wanted.filter((group) => !closed.has(group)).length;
      return missing === 0;
    },
  );
  // A second transition of a group would come after its closing: give it the time to.
  await sleep(1500);
  const expected = (await Promise.all(loads.map(oracle))).flat().sort();
  const inKafka = (await recordsOf(stack, "transitions")).flatMap(({ record }) =>
    record?.type === "TransitionRecorded" ? [essence(record.value)] : [],
  );
  assert.deepEqual(inKafka.sort(), expected, "transitions in Kafka");
  const clickhouse = clickHouseOfStack(stack);
  try {
    await verifyClickHouse(clickhouse, loads, expected.length, withinMs);
  } finally {
    await clickhouse.close();
  }
}

async function verifyClickHouse(
  clickhouse: ClickHouseClient,
  loads: readonly Load[],
  transitions: number,
  withinMs: number,
): Promise<void> {
  const rollouts = loads.flatMap((load) => load.rollouts).length;
  const spans = loads.flatMap((load) => load.spans).length;
  const wanted = { spans, steps: transitions, transitions, assemblies: rollouts };
  let counts: Record<string, number> = {};
  await until(
    () => `ClickHouse has ${JSON.stringify(counts)}, not ${JSON.stringify(wanted)}`,
    withinMs,
    async () => {
      const rows = await rowsOf<{ name: string; n: number }>(
        clickhouse,
        Object.keys(wanted)
          .map((name) => `SELECT '${name}' AS name, toInt64(count()) AS n FROM ${name}`)
          .join(" UNION ALL "),
      );
      counts = Object.fromEntries(rows.map(({ name, n }) => [name, n]));
      return Object.entries(wanted).every(([name, n]) => (counts[name] ?? 0) >= n);
    },
  );
  await sleep(1500);
  assert.deepEqual(counts, wanted, "rows in ClickHouse");
  const twice = Object.entries(await duplicates(clickhouse)).filter(([, n]) => n !== 0);
  assert.deepEqual(twice, [], "tables with rows twice");
}
