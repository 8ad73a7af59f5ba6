import type { Assignment, GroupMember, PartitionAssigner } from "kafkajs";
import type { KafkaClient } from "./client.ts";
import { kafkajs } from "./patches.ts";

export type Assigned = { readonly topic: string; readonly partition: number };

/**
 * Membership in a consumer group, and nothing else: the group says who should work on a partition,
 * the transactional id says who may. Reading is infra/kafka/reader.ts at offsets of our own, so a
 * rebalance disturbs only the partitions that move.
 */
export type Membership = { leave(): Promise<void> };

type Owned = Record<string, number[]>;

/**
 * @param onAssigned gets the whole assignment after every rebalance, by our own topic names.
 * @param onCrash gets what ended the membership for good.
 */
export async function joinGroup(
  client: KafkaClient,
  group: string,
  topics: readonly string[],
  onAssigned: (assigned: readonly Assigned[]) => void,
  onCrash: (error: Error) => void,
): Promise<Membership> {
  const { prefix, sessionTimeoutMs } = client.settings;
  const names = topics.map((topic) => client.topic(topic));
  let owned: Owned = {};
  const consumer = client.kafkajs.consumer({
    groupId: `${prefix}${group}`,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: Math.max(sessionTimeoutMs, 10_000),
    heartbeatInterval: Math.max(200, Math.floor(sessionTimeoutMs / 6)),
    maxWaitTimeInMs: 200,
    metadataMaxAge: 60_000,
    allowAutoTopicCreation: false,
    partitionAssigners: [stickyAssigner(() => owned)],
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 1000 },
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    // Paused before the first fetch: the consumer's loop then only sends heartbeats.
    consumer.pause(names.map((topic) => ({ topic })));
    owned = payload.memberAssignment as unknown as Owned;
    onAssigned(
      Object.entries(owned).flatMap(([topic, partitions]) =>
        partitions.map((partition) => ({ topic: topic.slice(prefix.length), partition })),
      ),
    );
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) onCrash(payload.error);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: names, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async () => undefined,
  });
  return { leave: () => consumer.disconnect() };
}

const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol;

/** Balanced, and every member keeps what it has as long as that is not more than its share. */
function stickyAssigner(owned: () => Owned): PartitionAssigner {
  const name = "LightningSticky";
  const version = 0;
  return ({ cluster }) => ({
    name,
    version,
    protocol: ({ topics }) => ({
      name,
      metadata: MemberMetadata.encode({
        version,
        topics,
        userData: Buffer.from(JSON.stringify(owned())),
      }),
    }),
    async assign({ members, topics }) {
      const all = topics.flatMap((topic) =>
        cluster
          .findTopicPartitionMetadata(topic)
          .map(({ partitionId }) => ({ topic, partition: partitionId })),
      );
      const shares = assignSticky(all, new Map(members.map((m) => [m.memberId, ownedBy(m)])));
      return [...shares].map(([memberId, assigned]) => ({
        memberId,
        memberAssignment: MemberAssignment.encode({
          version,
          assignment: toAssignment(assigned),
          userData: Buffer.alloc(0),
        }),
      }));
    },
  });
}

function ownedBy(member: GroupMember): Owned {
  const data = MemberMetadata.decode(member.memberMetadata)?.userData;
  if (data === undefined || data.length === 0) return {};
  try {
    return JSON.parse(data.toString("utf8")) as Owned;
  } catch {
    // A member of another build: it owns nothing that we know of.
    return {};
  }
}

function toAssignment(assigned: readonly Assigned[]): Assignment {
  const assignment: Assignment = {};
  for (const { topic, partition } of assigned) {
    const partitions = assignment[topic] ?? [];
    partitions.push(partition);
    assignment[topic] = partitions;
  }
  return assignment;
}

/** Every partition to exactly one member, shares differing by at most one, few moves. */
export function assignSticky(
  all: readonly Assigned[],
  members: ReadonlyMap<string, Owned>,
): Map<string, Assigned[]> {
  const ids = [...members.keys()].sort();
  const shares = new Map<string, Assigned[]>(ids.map((id) => [id, []]));
  const free = new Map(all.map((p) => [`${p.topic}/${p.partition}`, p]));
  const least = Math.floor(all.length / ids.length);
  let extra = all.length % ids.length;
  for (const id of ids) {
    const share = shares.get(id) ?? [];
    for (const [topic, partitions] of Object.entries(members.get(id) ?? {})) {
      for (const partition of partitions) {
        const key = `${topic}/${partition}`;
        const found = free.get(key);
        if (found === undefined || share.length >= least + (extra > 0 ? 1 : 0)) continue;
        share.push(found);
        free.delete(key);
        if (share.length > least) extra--;
      }
    }
  }
  for (const partition of free.values()) {
    const [smallest] = [...shares.values()].sort((a, b) => a.length - b.length);
    smallest?.push(partition);
  }
  return shares;
}
