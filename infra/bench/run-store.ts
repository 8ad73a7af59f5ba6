import { setTimeout as sleep } from "node:timers/promises";
import { connectClickHouse, rowsOf } from "../../sinks/clickhouse/client.ts";
import { forkBench } from "./child.ts";
import type { StoreJob, StoreLoaded } from "./load-store.ts";
import { makeDatabase, total } from "./run-live.ts";
import { apart, foldsGroup, gatewayGroup, type Stack, whileMeasured } from "./stack.ts";

/** What is asked of the store's API, wherever it is. */
export type StoreWork = Omit<StoreJob, "url">;

/** Everything that `lightning up` runs, and what its runs have stored. */
export type OurStore = { readonly gateway: string; runs: number; spans: number };

export type StoredRun = {
  readonly loaded: StoreLoaded;
  /** Of all processes of the stack, until every span is in ClickHouse. */
  readonly cpuMs: number;
  /** From the load's end until then, s. */
  readonly behind: number;
};

export async function startStore(stack: Stack): Promise<OurStore> {
  await makeDatabase(stack, "store");
  const own = apart("store");
  const folds = stack.start(foldsGroup, own);
  const { gateway = "" } = await stack.start(gatewayGroup, own);
  await folds;
  return { gateway, runs: 0, spans: 0 };
}

/** One load, in a project of its own; its clock stops with the last answer. */
export async function runStored(stack: Stack, ours: OurStore, work: StoreWork): Promise<StoredRun> {
  const url = `${ours.gateway}/projects/run-${ours.runs++}`;
  const { result, cpuMs } = await whileMeasured(stack, async () => {
    const loaded = await loadStore({ ...work, url });
    const from = performance.now();
    ours.spans += work.rollouts * 10;
    await untilStored(stack, ours.spans);
    return { loaded, behind: (performance.now() - from) / 1000 };
  });
  return { ...result, cpuMs: total(cpuMs) };
}

async function untilStored(stack: Stack, spans: number): Promise<void> {
  const url = stack.settings.CLICKHOUSE_URL ?? "";
  const client = connectClickHouse({ url, database: "store" });
  const query = "SELECT toUInt32(count()) AS spans FROM spans";
  for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
    const [row] = await rowsOf<{ spans: number }>(client, query);
    if ((row?.spans ?? 0) >= spans) break;
    if (Date.now() > deadline) throw new Error(`${row?.spans} spans in ClickHouse of ${spans}`);
  }
  await client.close();
}

/** In a process of its own, so that generating load costs neither side anything but cores. */
export async function loadStore(job: StoreJob): Promise<StoreLoaded> {
  const child = forkBench<StoreJob, StoreLoaded>("load-store-main.ts");
  try {
    return await child.ask(job);
  } finally {
    await child.end();
  }
}
