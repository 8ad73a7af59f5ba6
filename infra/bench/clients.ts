import { kafkaSettings, readConfig } from "../config.ts";
import { createTopics, withAdmin } from "../kafka/admin.ts";
import { createKafkaClient } from "../kafka/client.ts";
import { createLog } from "../log.ts";
import { amount, type Bench, quantile, spread, type Table } from "./bench.ts";
import { forkBench } from "./child.ts";
import type { ClientJob, ClientName, ClientResult } from "./client.ts";

const names: readonly ClientName[] = [
  "kafkajs, ours",
  "kafkajs, stock",
  "@platformatic/kafka 1.35",
];

/** A job without where and by whom. */
type Work = Readonly<Record<string, number>> & { readonly work?: never };
type Measured = readonly (readonly [ClientName, readonly ClientResult[]])[];
type Measure = (work: ClientJob["work"], numbers: Work) => Promise<Measured>;

/** kafkajs as it comes, as we use it, and the alternative, on what we do with a client. */
export const clients: Bench = {
  name: "clients",
  doc: "kafkajs hardened and stock against @platformatic/kafka on our access pattern",
  async run({ quick, say, stack: start }) {
    const stack = await start();
    try {
      const brokers = stack.settings.KAFKA_BROKERS ?? "";
      const topic = "bench-clients";
      await createTopic(stack.settings, topic);
      const measure: Measure = async (work, numbers) => {
        const results = names.map((name): [ClientName, ClientResult[]] => [name, []]);
        for (let round = 0; round < (quick ? 1 : 3); round++) {
          // They take turns, so that what else the machine does hits all of them.
          for (const [client, found] of results) {
            found.push(await runJob({ ...numbers, work, client, brokers, topic } as ClientJob));
          }
        }
        for (const [client, found] of results) say(`${client}, ${work}: ${rate(found)} records/s`);
        return results;
      };
      return [
        await produce(measure, quick),
        await transact(measure, quick),
        await fetchAll(measure, quick),
        await idle(measure, quick),
      ];
    } finally {
      await stack.close();
    }
  },
};

async function runJob(job: ClientJob): Promise<ClientResult> {
  const child = forkBench<ClientJob, ClientResult>("client-main.ts");
  try {
    return await child.ask(job);
  } finally {
    await child.end();
  }
}

async function createTopic(settings: object, topic: string): Promise<void> {
  const values = readConfig({ ...settings });
  const client = createKafkaClient(kafkaSettings(values, "bench"), createLog("warn", "bench"));
  await withAdmin(client, (admin) =>
    createTopics(admin, [{ topic, numPartitions: 1, replicationFactor: 1 }]),
  );
}

function rate(results: readonly ClientResult[]): string {
  return spread(results.map(({ records, ms }) => (records / ms) * 1000));
}

function cpu(results: readonly ClientResult[]): string {
  return spread(
    results.map(({ records, cpuMs }) => (cpuMs / records) * 1000),
    1,
  );
}

function times(results: readonly ClientResult[]): readonly [string, string] {
  const each = results.flatMap((result) => result.each);
  return [amount(quantile(each, 0.5), 1), amount(quantile(each, 0.99), 1)];
}

const head = ["client", "records/s", "CPU-µs a record", "p50 ms", "p99 ms"];
const notes = [
  "Records of 600 bytes to one partition, acks=all, idempotent, one request at a time, no compression; the client's CPU alone, each run in a process of its own.",
];

async function produce(measure: Measure, quick: boolean): Promise<Table> {
  const rows: string[][] = [];
  for (const [batch, batches] of [
    [10, 1500],
    [200, 400],
  ] as const) {
    const count = quick ? batches / 10 : batches;
    for (const [client, results] of await measure("produce", { batch, batches: count })) {
      rows.push([`${client}, ${batch} a request`, rate(results), cpu(results), ...times(results)]);
    }
  }
  return { title: "Idempotent produce of micro-batches", head, rows, notes };
}

async function transact(measure: Measure, quick: boolean): Promise<Table> {
  const rows: string[][] = [];
  for (const [batch, batches] of [
    [1, 60],
    [500, 60],
    [2000, 30],
  ] as const) {
    const count = quick ? 10 : batches;
    for (const [client, results] of await measure("transact", { batch, batches: count })) {
      const name = `${client}, ${amount(batch)} ${batch === 1 ? "record" : "records"}`;
      rows.push([name, rate(results), cpu(results), ...times(results)]);
    }
  }
  return {
    title: "A transaction: records, the group's offset, commit; back to back",
    head,
    rows,
    notes: [
      ...notes,
      "@platformatic/kafka sends the offset with generation and member (KIP-447), kafkajs cannot; it is given producerId -1 and epoch -1, without which a second start is fenced.",
    ],
  };
}

async function fetchAll(measure: Measure, quick: boolean): Promise<Table> {
  const measured = await measure("fetch", { records: quick ? 20_000 : 200_000 });
  const rows = measured.map(([client, results]) => [client, rate(results), cpu(results)]);
  return {
    title: "read_committed fetch of one partition from its start",
    head: head.slice(0, 3),
    rows,
    notes: [
      "What the rows above left on the topic. Ours is infra/kafka/reader.ts, which needs no group; the others join one first, which is in their time.",
    ],
  };
}

async function idle(measure: Measure, quick: boolean): Promise<Table> {
  const connections = 20;
  const measured = await measure("idle", { connections, ms: quick ? 3000 : 10_000 });
  const share = ({ cpuMs, ms }: ClientResult): number => (cpuMs / ms) * 100;
  return {
    title: `${connections} producers connected and idle`,
    head: ["client", "CPU, % of one core"],
    rows: measured.map(([client, results]) => [client, spread(results.map(share), 2)]),
    notes: [],
  };
}
