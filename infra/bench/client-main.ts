/** The process of one client; which modules it loads depends on the job. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "./child.ts";
import { type Client, type ClientJob, type ClientResult, value } from "./client.ts";

async function clientOf({ client, brokers, topic }: ClientJob): Promise<Client> {
  if (client === "@platformatic/kafka 1.35") {
    const { platformatic } = await import("./client-platformatic.ts");
    return platformatic(brokers, topic);
  }
  if (client === "kafkajs, ours") {
    const { hardenedKafkaJs } = await import("./client-kafkajs.ts");
    return hardenedKafkaJs(brokers, topic);
  }
  // Loaded first and alone, so that it is what npm has.
  const { Kafka, logLevel } = (await import("kafkajs")).default;
  const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING });
  const { stockKafkaJs } = await import("./client-stock.ts");
  return stockKafkaJs(kafka, topic);
}

const warmUps = 5;

/** Does something again and again; the first times are not counted. */
async function repeat(
  batches: number,
  perBatch: number,
  once: (values: readonly Buffer[], index: number) => Promise<void>,
): Promise<ClientResult> {
  const values = Array.from({ length: perBatch }, () => value);
  for (let i = 0; i < warmUps; i++) await once(values, i);
  const before = process.cpuUsage();
  const each: number[] = [];
  for (let i = 0; i < batches; i++) {
    const start = performance.now();
    await once(values, warmUps + i);
    each.push(performance.now() - start);
  }
  const ms = each.reduce((sum, time) => sum + time, 0);
  return { records: batches * perBatch, ms, cpuMs: cpuSince(before), each };
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function timed(work: () => Promise<number>): Promise<ClientResult> {
  const before = process.cpuUsage();
  const start = performance.now();
  const records = await work();
  const ms = performance.now() - start;
  return { records, ms, cpuMs: cpuSince(before), each: [ms] };
}

async function run(job: ClientJob): Promise<ClientResult> {
  const client = await clientOf(job);
  switch (job.work) {
    case "produce": {
      const { send } = await client.openProducer();
      return repeat(job.batches, job.batch, send);
    }
    case "transact": {
      const { transact } = await client.openTransactions();
      return repeat(job.batches, job.batch, (values, i) => transact(values, i + 1));
    }
    case "fetch":
      return timed(() => client.fetch(job.records));
    case "idle": {
      await client.connect(job.connections);
      await sleep(1000);
      return timed(async () => {
        await sleep(job.ms);
        return job.connections;
      });
    }
  }
}

answerParent(run);
