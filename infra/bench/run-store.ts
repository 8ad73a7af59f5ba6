import { setTimeout as sleep } from "node:timers/promises";
import { connectClickHouse, rowsOf } from "../../sinks/clickhouse/client.ts";
import { forkBench } from "./child.ts";
import type { StoreJob, StoreLoaded } from "./load-store.ts";
import { makeDatabase, total } from "./run-live.ts";
import { apart, foldsGroup, gatewayGroup, type Stack, whileMeasured } from "./stack.ts";

/** What is asked of the store's API, wherever it is. */
export type StoreWork = Omit<StoreJob, "url">;

/** Everything that `lightning up` runs, and what its runs have stored. */
export type OurStore = { readonly gateway: string; runs: number; rollouts: number };

export type StoredRun = {
  readonly loaded: StoreLoaded;
  /** Of all processes of the stack, until every span and every closed group is in ClickHouse. */
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
  return { gateway, runs: 0, rollouts: 0 };
}

/** One load, in a project of its own; its clock stops with the last answer. */
export async function runStored(stack: Stack, ours: OurStore, work: StoreWork): Promise<StoredRun> {
  const url = `${ours.gateway}/projects/run-${ours.runs++}`;
  const { result, cpuMs } = await whileMeasured(stack, async () => {
    const loaded = await loadStore({ ...work, url });
    const from = performance.now();
    ours.rollouts += work.rollouts;
    await untilStored(stack, ours.rollouts);
    return { loaded, behind: (performance.now() - from) / 1000 };
  });
  return { ...result, cpuMs: total(cpuMs) };
}

/** Ten spans of each rollout, and the group it is alone in: then no fold has anything left to do. */
async function untilStored(stack: Stack, rollouts: number): Promise<void> {
  const url = stack.settings.CLICKHOUSE_URL ?? "";
  const client = connectClickHouse({ url, database: "store" });
  const query =
    "SELECT toUInt32(least(intDiv(count(), 10), (SELECT count() FROM groups))) AS stored FROM spans";
  for (const deadline = Date.now() + 120_000; ; await sleep(100)) {
    const [row] = await rowsOf<{ stored: number }>(client, query);
    const stored = row?.stored ?? 0;
    if (stored >= rollouts) break;
    if (Date.now() > deadline) throw new Error(`${stored} rollouts in ClickHouse of ${rollouts}`);
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
