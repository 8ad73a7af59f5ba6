import type { Admin } from "kafkajs";
import { type PartitionOffsets, withAdmin } from "./admin.ts";
import { type Cluster, classifyKafkaError, type KafkaClient, openCluster } from "./client.ts";
import { kafkajs } from "./patches.ts";

/** A topic as the cluster has it, under our name for it. */
export type TopicFacts = {
  readonly name: string;
  /** `latest` is the last stable offset: what open transactions hold back is not counted. */
  readonly partitions: readonly PartitionOffsets[];
  readonly replication: number;
  readonly cleanup: string;
  readonly timestampType: string;
  readonly maxMessageBytes: number;
};

/** Those of the named topics that exist, in that order. */
export async function existingTopics(
  client: KafkaClient,
  names: readonly string[],
): Promise<string[]> {
  const existing = new Set(await withAdmin(client, (admin) => admin.listTopics()));
  return names.filter((name) => existing.has(client.topic(name)));
}

/**
 * The topics that exist of those named, in that order.
 *
 * @param names ours; the prefix is added.
 */
export async function describeTopics(
  client: KafkaClient,
  names: readonly string[],
): Promise<TopicFacts[]> {
  const present = await existingTopics(client, names);
  if (present.length === 0) return [];
  return withAdmin(client, async (admin) => {
    const replications = await replicationOf(admin, present.map(client.topic));
    const configs = await configOf(admin, present.map(client.topic));
    const facts: TopicFacts[] = [];
    for (const name of present) {
      const topic = client.topic(name);
      const config = configs.get(topic);
      facts.push({
        name,
        partitions: await offsetsOf(admin, topic),
        replication: replications.get(topic) ?? 0,
        cleanup: config?.get("cleanup.policy") ?? "",
        timestampType: config?.get("message.timestamp.type") ?? "",
        maxMessageBytes: Number(config?.get("max.message.bytes") ?? Number.NaN),
      });
    }
    return facts;
  });
}

async function offsetsOf(admin: Admin, topic: string): Promise<PartitionOffsets[]> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets
    .map(({ partition, low, high }) => ({
      partition,
      earliest: Number(low),
      latest: Number(high),
    }))
    .sort((a, b) => a.partition - b.partition);
}

async function replicationOf(admin: Admin, names: string[]): Promise<Map<string, number>> {
  const { topics } = await admin.fetchTopicMetadata({ topics: names });
  return new Map(topics.map((t) => [t.name, t.partitions[0]?.replicas.length ?? 0]));
}

const { TOPIC } = kafkajs.ConfigResourceTypes;

async function configOf(admin: Admin, names: string[]): Promise<Map<string, Map<string, string>>> {
  const configNames = ["cleanup.policy", "message.timestamp.type", "max.message.bytes"];
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map((name) => ({ type: TOPIC, name, configNames })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map((entry) => [entry.configName, entry.configValue])),
    ]),
  );
}

/** What a consumer group has committed, and how many members it has now. */
export type GroupFacts = {
  readonly members: number;
  /** First offset not yet read, by `topic/partition` with our topic names; absent: none committed. */
  readonly positions: ReadonlyMap<string, number>;
};

/** @param groups our names, each with the topics it reads; all of them must exist. */
export async function describeGroups(
  client: KafkaClient,
  groups: readonly { readonly name: string; readonly topics: readonly string[] }[],
): Promise<Map<string, GroupFacts>> {
  const { prefix } = client.settings;
  return withAdmin(client, async (admin) => {
    const { groups: described } = await admin.describeGroups(groups.map((g) => prefix + g.name));
    const facts = new Map<string, GroupFacts>();
    for (const { name, topics } of groups) {
      const groupId = prefix + name;
      const offsets = await admin.fetchOffsets({ groupId, topics: topics.map(client.topic) });
      const positions = offsets.flatMap(({ topic, partitions }) =>
        partitions
          .filter(({ offset }) => Number(offset) >= 0)
          .map((p) => [`${topic.slice(prefix.length)}/${p.partition}`, Number(p.offset)] as const),
      );
      const members = described.find((group) => group.groupId === groupId)?.members.length ?? 0;
      facts.set(name, { members, positions: new Map(positions) });
    }
    return facts;
  });
}

type OffsetsCluster = Cluster & {
  isolationLevel: number;
  fetchTopicsOffset(
    topics: { topic: string; fromBeginning: boolean; partitions: { partition: number }[] }[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
};

/**
 * The first offset that does not exist yet, by `topic/partition` with our topic names: what open
 * transactions hold back counts. kafkajs' admin gives the last stable offset instead.
 */
export async function endOffsets(
  client: KafkaClient,
  names: readonly string[],
): Promise<Map<string, number>> {
  const cluster = openCluster(client) as OffsetsCluster;
  // Read uncommitted.
  cluster.isolationLevel = 0;
  try {
    await cluster.connect();
    for (const name of names) await cluster.addTargetTopic(client.topic(name));
    const found = await cluster.fetchTopicsOffset(
      names.map(client.topic).map((topic) => ({
        topic,
        fromBeginning: false,
        partitions: cluster
          .findTopicPartitionMetadata(topic)
          .map(({ partitionId }) => ({ partition: partitionId })),
      })),
    );
    const { prefix } = client.settings;
    return new Map(
      found.flatMap(({ topic, partitions }) =>
        partitions.map(
          (p) => [`${topic.slice(prefix.length)}/${p.partition}`, Number(p.offset)] as const,
        ),
      ),
    );
  } catch (error) {
    throw classifyKafkaError(error, "kafka-unavailable", { brokers: client.settings.brokers });
  } finally {
    await cluster.disconnect().catch(() => undefined);
  }
}
