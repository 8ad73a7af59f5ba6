import { setTimeout as sleep } from "node:timers/promises";
import { type ClickHouseClient, connectClickHouse, rowsOf } from "../../sinks/clickhouse/client.ts";
import { rolloutsById } from "../../sinks/clickhouse/queries.ts";
import { forgottenLimit } from "../gateway/span-index.ts";
import { type Asked, askMany, type Ids, kindsOf } from "./ask-history.ts";
import { amount, type Bench, type BenchContext, type Table } from "./bench.ts";
import { openConnection } from "./connection.ts";
import { liveCost } from "./live-cost.ts";
import { fillPast, pastIds } from "./past-rows.ts";
import { makeDatabase } from "./run-live.ts";
import { apart, foldsGroup, type Group, type Stack } from "./stack.ts";

/** Without the trainer, so that memory is the gateway's. */
const gatewayOnly: Group = { name: "gateway", roles: ["gateway"] };
const own = apart("history");

type Sizes = { readonly live: number; readonly past: number; readonly queries: number };

/** Resident memory and heap of the gateway's process, MiB, as its metrics say. */
type Memory = { readonly rss: number; readonly heap: number };

/** What one amount of past costs. */
type Run = {
  readonly live: number;
  readonly past: number;
  readonly readyMs: number;
  readonly started: Memory;
  readonly asked: Memory | null;
  readonly times: ReadonlyMap<string, Asked>;
};

/** Memory and queries of a gateway, with and without a long past. */
export const history: Bench = {
  name: "history",
  doc: "a gateway with few live rollouts and many past ones: start, memory, queries",
  async run(context) {
    const all = context.quick ? 20_000 : 1_000_000;
    const live = context.quick ? 500 : 10_000;
    const sizes = { live, past: all - live, queries: context.quick ? 20 : 200 };
    const stack = await context.stack();
    const url = stack.settings.CLICKHOUSE_URL ?? "";
    const client = connectClickHouse({ url, database: "history", timeoutMs: 300_000 });
    try {
      await makeDatabase(stack, "history");
      return await measure(context, stack, client, sizes);
    } finally {
      await client.close();
      await stack.close();
    }
  },
};

async function measure(
  { say }: BenchContext,
  stack: Stack,
  client: ClickHouseClient,
  { live, past, queries }: Sizes,
): Promise<readonly Table[]> {
  await stack.start(foldsGroup, own);
  const gateway = await startGateway(stack);
  const empty = {
    live: 0,
    past: 0,
    readyMs: gateway.readyMs,
    started: await memoryOf(gateway.url),
  };
  const liveIds = await enqueue(gateway.url, live);
  await untilStored(client, live);
  await stack.stop(gatewayOnly);
  const ids = { live: liveIds, past: [] };
  const short = await runOnce(stack, ids, { live, past: 0, queries });
  say(`history: ${live} live: ready in ${amount(short.readyMs)} ms`);
  const from = performance.now();
  const withSpans = Math.min(10_000, past);
  await fillPast(client, { rollouts: past, withSpans });
  say(`history: ${past} past in ${amount((performance.now() - from) / 1000, 1)} s`);
  await untilMerged(client);
  const long = await runOnce(
    stack,
    { live: liveIds, past: await pastIds(client, withSpans) },
    { live, past, queries },
  );
  say(`history: ${live} live, ${past} past: ready in ${amount(long.readyMs)} ms`);
  const none = { ...empty, asked: null, times: new Map() };
  return [
    memoryTable([none, short, long], await costOf(client, liveIds.at(-1))),
    queryTable(short, long),
  ];
}

/** Heap of a live rollout like this one, bytes. */
async function costOf(client: ClickHouseClient, id = ""): Promise<number> {
  const [example] = await rolloutsById(client, "default", [id]);
  if (example === undefined) throw new Error("a live rollout has no row");
  return liveCost({
    ...example,
    keeps_place: false,
    recent_requests: ["enqueue/0123456789abcdef/1"],
    recent_sequences: [],
    marked_attempts: 0,
  });
}

async function startGateway(stack: Stack) {
  const from = performance.now();
  const { gateway: url = "" } = await stack.start(gatewayOnly, own);
  return { url, readyMs: performance.now() - from };
}

/** A gateway started anew, asked every kind of query, and stopped again. */
async function runOnce(stack: Stack, ids: Ids, { live, past, queries }: Sizes): Promise<Run> {
  const { url, readyMs } = await startGateway(stack);
  const started = await memoryOf(url);
  const times = new Map<string, Asked>();
  for (const kind of kindsOf(ids, past)) {
    // Anew each time: idle connections are closed after five seconds, and no kind inherits another's.
    const connection = await openConnection(url);
    times.set(kind.name, await askMany(connection, kind, { queries, seconds: 12 }));
    connection.close();
  }
  const asked = await memoryOf(url);
  await stack.stop(gatewayOnly);
  return { live, past, readyMs, started, asked, times };
}

async function memoryOf(url: string): Promise<Memory> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const of = (name: string): number => {
    const value = new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1];
    if (value === undefined) throw new Error(`the gateway's metrics lack ${name}`);
    return Number(value) / 2 ** 20;
  };
  return { rss: of("process_resident_memory_bytes"), heap: of("nodejs_heap_size_used_bytes") };
}

async function enqueue(url: string, count: number): Promise<string[]> {
  const connection = await openConnection(url);
  const ids: string[] = [];
  while (ids.length < count) {
    const rollouts = Array.from({ length: Math.min(500, count - ids.length) }, (_, i) => ({
      input: { task: "Find a room for 4 people at 10:00 with a whiteboard", index: ids.length + i },
      mode: "train",
    }));
    const path = "/v1/agl/queues/rollouts/enqueue";
    const { body } = await connection.post(path, "application/json", JSON.stringify({ rollouts }));
    const made = JSON.parse(body.toString("utf8")) as { readonly rollout_id: string }[];
    ids.push(...made.map(({ rollout_id }) => rollout_id));
  }
  connection.close();
  return ids;
}

/** Their facts are on `rollouts` then, too. */
async function untilStored(client: ClickHouseClient, rollouts: number): Promise<void> {
  const query = "SELECT toUInt32(uniqExact(rollout_id)) AS stored FROM rollout_changes";
  for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
    const [row] = await rowsOf<{ stored: number }>(client, query);
    if ((row?.stored ?? 0) >= rollouts) return;
    if (Date.now() > deadline) throw new Error(`${row?.stored} rollouts stored of ${rollouts}`);
  }
}

/** What was put in at once is merged for a while, at the queries' cost; gives up after 30 s. */
async function untilMerged(client: ClickHouseClient): Promise<void> {
  const query = "SELECT toUInt32(count()) AS merges FROM system.merges";
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    await sleep(1000);
    const [row] = await rowsOf<{ merges: number }>(client, query);
    if (row?.merges === 0) return;
  }
}

function memoryTable(runs: readonly Run[], cost: number): Table {
  const text = ({ rss, heap }: Memory): string => `${amount(rss)} / ${amount(heap)}`;
  return {
    title: "History: a gateway's start and memory",
    head: ["live", "past", "start to ready, ms", "MiB at ready", "MiB after the queries"],
    rows: runs.map(({ live, past, readyMs, started, asked }) => [
      amount(live),
      amount(past),
      amount(readyMs),
      text(started),
      asked === null ? "" : text(asked),
    ]),
    notes: [
      "Resident / JavaScript heap, garbage included, of a process with the role gateway alone. Live rollouts were enqueued through a gateway; their facts are on `rollouts`. A past one has three changes in ClickHouse and nothing on any topic. Each row is a gateway started anew; the first start also makes the topics.",
      `The bound: a live rollout costs ${amount(cost)} bytes of heap besides its input, measured on 10,000 in the gateway's table after a collection; so does a finished one until its retention (LIGHTNING_RETENTION_SECONDS) is over. Spans cost at most LIGHTNING_SPAN_MEMORY_MB (256), with the names of at most ${amount(forgottenLimit)} rollouts the index has let go of. A past rollout costs nothing but while a page is made: that holds the page and, where live rollouts match too and it does not begin at the first, up to as many past ones as live ones match.`,
    ],
  };
}

function queryTable(short: Run, long: Run): Table {
  const text = (asked: Asked | undefined): string =>
    asked === undefined ? "" : `${amount(asked.p50, 1)} / ${amount(asked.p99, 1)}`;
  const all = `${amount(long.live)} live`;
  return {
    title: "History: ms a query, p50 / p99",
    head: ["query", `${all}, nothing past`, `${all}, ${amount(long.past)} past`, "queries"],
    rows: [...long.times].map(([name, asked]) => {
      const without = short.times.get(name);
      const count = [without?.queries, asked.queries].filter((n) => n !== undefined);
      return [name, text(without), text(asked), count.map((n) => amount(n)).join(" and ")];
    }),
    notes: [
      "One client, which waits for each answer and checks it; a kind is stopped after 12 s. Pages hold 100 rollouts, sorted by start_time, newest first; all live ones are queued, so those that succeeded are past. Where nothing is past, `100 by id` asks for live ones.",
    ],
  };
}
