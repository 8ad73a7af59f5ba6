import { setTimeout as sleep } from "node:timers/promises";
import type { Admin, ITopicConfig } from "kafkajs";
import { LightningError } from "../../schemas/errors.ts";
import {
  changelogOf,
  deadLettersOf,
  maxRecordBytes,
  type PartitionClass,
  type TopicSpec,
  topics,
} from "../../schemas/topics.ts";
import { classifyKafkaError, type KafkaClient, kafkaErrorType } from "./client.ts";
import { closedSoon, settled } from "./settled.ts";

export type TopicPlan = {
  readonly name: string;
  readonly partitions: number;
  readonly cleanup: "delete" | "compact";
  /** Largest record, bytes; `maxRecordBytes` unless said. */
  readonly maxBytes?: number;
};

/** A letter is the record it holds and what is said of it: the largest record must fit into one. */
const maxLetterBytes = maxRecordBytes + 1024 * 1024;

export type PartitionCounts = Readonly<Record<PartitionClass, number>>;

/** A reader whose state topics are to be made: its changelog has as many partitions as its input. */
export type ReaderSpec = { readonly name: string; readonly partitions: PartitionClass };

/** Every topic of the product and of its readers, with partitions and policy. */
export function planTopics(counts: PartitionCounts, readers: readonly ReaderSpec[]): TopicPlan[] {
  const own = Object.values(topics as Record<string, TopicSpec>).map((spec) => ({
    name: spec.name,
    partitions: counts[spec.partitions],
    cleanup: spec.cleanup,
  }));
  const derived = readers.flatMap(({ name, partitions }): TopicPlan[] => [
    { name: changelogOf(name), partitions: counts[partitions], cleanup: "compact" },
    { name: deadLettersOf(name), partitions: 1, cleanup: "delete", maxBytes: maxLetterBytes },
  ]);
  return [...own, ...derived];
}

const weekMs = 7 * 24 * 3600 * 1000;

function configOf(plan: TopicPlan): { name: string; value: string }[] {
  const config: Record<string, string> = {
    "cleanup.policy": plan.cleanup,
    "max.message.bytes": String(plan.maxBytes ?? maxRecordBytes),
    // The log's own clock: an agent's skewed clock changes no timer.
    "message.timestamp.type": "LogAppendTime",
  };
  if (plan.cleanup === "delete") config["retention.ms"] = String(weekMs);
  else {
    config["segment.bytes"] = String(64 * 1024 * 1024);
    config["min.cleanable.dirty.ratio"] = "0.3";
  }
  return Object.entries(config).map(([name, value]) => ({ name, value }));
}

export type PartitionOffsets = {
  readonly partition: number;
  readonly earliest: number;
  readonly latest: number;
};

/** What tools and start-up ask the cluster; opened for the call, closed behind it. */
export async function withAdmin<T>(
  client: KafkaClient,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = client.kafkajs.admin();
  try {
    await settled(admin.connect(), askWithinMs, "connecting");
    return await work(admin);
  } catch (error) {
    throw classifyKafkaError(error, "kafka-unavailable", { brokers: client.settings.brokers });
  } finally {
    await closedSoon(admin.disconnect());
  }
}

/** How long connecting may take, and asking for offsets, ms. */
const askWithinMs = 60_000;

/**
 * Creates what is missing and checks what is there.
 *
 * @throws LightningError `topic-mismatch` when an existing topic has another number of partitions
 *   or another policy: folding would send one rollout to two places.
 */
export async function ensureTopics(
  client: KafkaClient,
  plans: readonly TopicPlan[],
  replication: number,
): Promise<void> {
  await withAdmin(client, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const missing = plans.filter((plan) => !existing.has(client.topic(plan.name)));
    if (missing.length > 0) {
      await createTopics(
        admin,
        missing.map((plan) => ({
          topic: client.topic(plan.name),
          numPartitions: plan.partitions,
          replicationFactor: replication,
          configEntries: configOf(plan),
        })),
      );
    }
    const present = plans.filter((plan) => existing.has(client.topic(plan.name)));
    await checkTopics(client, admin, present);
  });
}

const leadersWithinMs = 30_000;

/**
 * Creates topics and waits until each partition has a leader. kafkajs' own wait gives up on a
 * broker that has not heard of the topic yet, which is normal for some milliseconds.
 */
export async function createTopics(admin: Admin, wanted: readonly ITopicConfig[]): Promise<void> {
  await admin.createTopics({ waitForLeaders: false, topics: [...wanted] });
  const names = wanted.map(({ topic }) => topic);
  for (const deadline = Date.now() + leadersWithinMs; ; await sleep(50)) {
    try {
      const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
      if (found.every((t) => t.partitions.every((p) => p.leader >= 0))) return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

async function checkTopics(
  client: KafkaClient,
  admin: Admin,
  plans: readonly TopicPlan[],
): Promise<void> {
  if (plans.length === 0) return;
  const { topics: found } = await admin.fetchTopicMetadata({
    topics: plans.map((plan) => client.topic(plan.name)),
  });
  for (const plan of plans) {
    const partitions = found.find((t) => t.name === client.topic(plan.name))?.partitions.length;
    if (partitions !== undefined && partitions !== plan.partitions) {
      throw new LightningError(
        "topic-mismatch",
        `topic ${client.topic(plan.name)} has ${partitions} partitions, the configuration says ${plan.partitions}: ` +
          "set LIGHTNING_PARTITIONS (or LIGHTNING_TRAINER_PARTITIONS) to what is there, or use another LIGHTNING_TOPIC_PREFIX",
      );
    }
  }
}

/** Earliest offsets of a topic and its last stable ones: what open transactions hold is beyond. */
export async function topicOffsets(
  client: KafkaClient,
  topic: string,
): Promise<PartitionOffsets[]> {
  return withAdmin(client, async (admin) => {
    const asking = offsetsWhenLed(admin, client.topic(topic));
    const offsets = await settled(asking, askWithinMs, `asking for the offsets of ${topic}`);
    return offsets
      .map(({ partition, low, high }) => ({
        partition,
        earliest: Number(low),
        latest: Number(high),
      }))
      .sort((a, b) => a.partition - b.partition);
  });
}

/** What a broker says of a partition that it leads in the metadata but has not taken up yet. */
const notLedYet = new Set(["NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE"]);

/** kafkajs gives up at once on a partition whose leader was chosen milliseconds ago. */
async function offsetsWhenLed(admin: Admin, topic: string) {
  for (const deadline = Date.now() + leadersWithinMs; ; await sleep(50)) {
    try {
      return await admin.fetchTopicOffsets(topic);
    } catch (error) {
      if (!notLedYet.has(kafkaErrorType(error) ?? "") || Date.now() > deadline) throw error;
    }
  }
}

/** Number of partitions of a topic, as the cluster has it. */
export async function partitionCount(client: KafkaClient, topic: string): Promise<number> {
  return (await topicOffsets(client, topic)).length;
}
