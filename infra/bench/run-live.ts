import { connectClickHouse } from "../../sinks/clickhouse/client.ts";
import { generate, type LiveJob, type Loaded } from "./load.ts";
import {
  apart,
  foldsGroup,
  gatewayGroup,
  type Settings,
  type Stack,
  whileMeasured,
} from "./stack.ts";
import { openWatch, type Watch } from "./watch.ts";

/** Everything that `lightning up` runs, under a prefix and database of its own. */
export type Live = {
  readonly settings: Settings;
  readonly gateway: string;
  readonly watch: Watch;
  close(): Promise<void>;
};

/** The sink migrates a database that is there. */
export async function makeDatabase(stack: Stack, name: string): Promise<void> {
  const client = connectClickHouse({
    url: stack.settings.CLICKHOUSE_URL ?? "",
    database: "default",
  });
  await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${name}` });
  await client.close();
}

export async function startLive(stack: Stack, name: string, more: Settings = {}): Promise<Live> {
  const own = { ...apart(name), ...more };
  const settings = { ...stack.settings, ...own };
  await makeDatabase(stack, name);
  const folds = stack.start(foldsGroup, own);
  const { gateway = "" } = await stack.start(gatewayGroup, own);
  await folds;
  const watch = await openWatch(settings);
  return {
    settings,
    gateway,
    watch,
    async close() {
      await watch.close();
      await stack.stop(gatewayGroup);
      await stack.stop(foldsGroup);
    },
  };
}

/** One run through the whole pipeline. */
export type LiveRun = {
  readonly loaded: Loaded;
  /** From the first request to the last transition visible, to the last row, and to the last end, s. */
  readonly toTransitions: number;
  readonly toRows: number;
  readonly toEnds: number;
  readonly cpuMs: Readonly<Record<string, number>>;
  /** From the 2xx of an attempt's end to its transition, ms; groups of one only. */
  readonly latencies: readonly number[];
};

/** Counts of the runs before in the same stack: the tables hold all of them. */
export type Totals = { spans: number; transitions: number };

export async function runLive(
  stack: Stack,
  live: Live,
  totals: Totals,
  job: Omit<LiveJob, "job" | "gateway">,
): Promise<LiveRun> {
  const { watch } = live;
  const { result, cpuMs } = await whileMeasured(stack, async () => {
    const loaded = await generate({ ...job, job: "live", gateway: live.gateway });
    totals.spans += loaded.spans;
    totals.transitions += loaded.calls;
    const seenAt = await watch.transitions(totals.transitions);
    const storedAt = await watch.rows(totals.spans, totals.transitions);
    return { loaded, seenAt, storedAt };
  });
  const { loaded, seenAt, storedAt } = result;
  if (watch.repeated > 0 || watch.seen > totals.transitions) {
    throw new Error(`${watch.seen} transitions of ${totals.transitions}, ${watch.repeated} twice`);
  }
  return {
    loaded,
    toTransitions: (seenAt - loaded.from) / 1000,
    toRows: (storedAt - loaded.from) / 1000,
    toEnds: (loaded.to - loaded.from) / 1000,
    cpuMs,
    latencies: loaded.ended.flatMap(([id, at]) => {
      const seen = watch.visibleAt(id);
      return seen === undefined ? [] : [seen - at];
    }),
  };
}

export function total(cpuMs: Readonly<Record<string, number>>): number {
  return Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0);
}
