/**
 * The folds without transactions, for one comparison: the same roles on the same runtime, but
 * records go out by a plain idempotent producer and offsets by a plain OffsetCommit. At least once:
 * what a crash leaves between the two is done again. Nothing but the bench runs this.
 */
import type { Kafka, ProducerConfig, Transaction } from "kafkajs";
import { processConfig } from "../config.ts";
import { createContext } from "../context.ts";
import { ensureTopics, planTopics } from "../kafka/admin.ts";
import { type Cluster, type KafkaClient, openCluster } from "../kafka/client.ts";
import { partitionCounts, type RoleName, readers, roles } from "../roles.ts";

type Coordinator = {
  offsetCommit(request: {
    groupId: string;
    groupGenerationId: number;
    memberId: string;
    topics: unknown;
  }): Promise<unknown>;
};
type WithCoordinator = Cluster & {
  findGroupCoordinator(options: { groupId: string }): Promise<Coordinator>;
};

/** The same client, whose transactions are none. */
function withoutTransactions(client: KafkaClient): KafkaClient {
  const cluster = openCluster(client) as WithCoordinator;
  const connected = cluster.connect();

  /** Under a group name of its own: a group with members takes offsets from its members alone. */
  const commitOffsets: Transaction["sendOffsets"] = async ({ consumerGroupId, topics }) => {
    await connected;
    const groupId = `${consumerGroupId}.plain`;
    const coordinator = await cluster.findGroupCoordinator({ groupId });
    await coordinator.offsetCommit({ groupId, groupGenerationId: -1, memberId: "", topics });
  };

  function producer(config: ProducerConfig) {
    const { transactionalId: _, transactionTimeout: __, ...plain } = config;
    const own = client.kafkajs.producer(plain);
    const transaction = async (): Promise<Transaction> => ({
      send: own.send,
      sendBatch: own.sendBatch,
      sendOffsets: commitOffsets,
      commit: async () => undefined,
      abort: async () => undefined,
      isActive: () => true,
    });
    return { ...own, transaction };
  }

  const kafkajs = new Proxy(client.kafkajs, {
    get: (target, name) => (name === "producer" ? producer : Reflect.get(target, name)),
  }) as Kafka;
  return { ...client, kafkajs };
}

const values = processConfig();
const context = createContext(values, "plain-folds");
const plain = { ...context, client: withoutTransactions(context.client) };
const plans = planTopics(partitionCounts(values), readers);
await ensureTopics(plain.client, plans, values.KAFKA_REPLICATION);
const names = process.argv.slice(2).filter((name): name is RoleName => name in roles);
const running = await Promise.all(names.map((name) => roles[name].start(plain, { port: 0 })));
process.send?.({ ready: {} });
process.once("SIGTERM", async () => {
  await Promise.all(running.map((role) => role.stop()));
  process.exit(0);
});
process.once("disconnect", () => process.exit(1));
