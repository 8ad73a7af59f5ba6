import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../../schemas/topics.ts";
import type { ClickHouseClient } from "../../sinks/clickhouse/client.ts";
import { rowsOf } from "../../sinks/clickhouse/client.ts";
import { readConfig } from "../config.ts";
import { createContext } from "../context.ts";
import { topicOffsets } from "../kafka/admin.ts";
import { openReader } from "../kafka/reader.ts";
import { clickHouseOf } from "../roles.ts";
import { decodeAll } from "../runtime.ts";
import { clock } from "./load.ts";
import type { Settings } from "./stack.ts";

/** Sees transitions as a read_committed consumer does, and rows as SQL does. */
export type Watch = {
  /** Transitions seen, each once. */
  readonly seen: number;
  /** Transitions seen again: must stay 0. */
  readonly repeated: number;
  /** When a rollout's first transition became visible, ms since epoch. */
  visibleAt(rolloutId: string): number | undefined;
  /** Waits until this many were seen; returns when the last of them became visible. */
  transitions(count: number): Promise<number>;
  /** Waits until the tables have this many spans and transitions; returns when. */
  rows(spans: number, transitions: number): Promise<number>;
  close(): Promise<void>;
};

/** A pipeline that stands still for this long is broken, not slow. */
const stuckAfterMs = 60_000;

/** The topics must exist. */
export async function openWatch(settings: Settings): Promise<Watch> {
  const context = createContext(readConfig({ LIGHTNING_LOG_LEVEL: "warn", ...settings }), "watch");
  await context.codec.prepare("transitions", topics.transitions.records);
  const clickhouse = clickHouseOf(context.values);
  const seenAt = new Map<string, number>();
  const rolloutAt = new Map<string, number>();
  let repeated = 0;
  let lastAt = 0;
  let failed: unknown;

  async function follow(partition: number, from: number): Promise<void> {
    const options = { topic: "transitions", partition, from, maxWaitMs: 500 };
    const reader = openReader(context.client, options);
    readers.push(reader);
    for (let got = await reader.next(); got !== undefined; got = await reader.next()) {
      const at = clock();
      for (const decoded of await decodeAll(context.codec, got.records)) {
        if ("refused" in decoded) throw decoded.refused;
        if (decoded.record?.type !== "TransitionRecorded") continue;
        const { rollout_id, step_index } = decoded.record.value;
        const id = `${rollout_id}/${step_index}`;
        if (seenAt.has(id)) repeated += 1;
        else {
          seenAt.set(id, at);
          lastAt = at;
        }
        if (!rolloutAt.has(rollout_id)) rolloutAt.set(rollout_id, at);
      }
    }
  }

  const readers: { close(): Promise<void> }[] = [];
  for (const { partition, latest } of await topicOffsets(context.client, "transitions")) {
    follow(partition, latest).catch((error) => {
      failed = error;
    });
  }

  async function until(what: string, progress: () => Promise<number>, goal: number) {
    let last = -1;
    for (let movedAt = clock(); ; await sleep(20)) {
      if (failed !== undefined) throw failed;
      const now = await progress();
      if (now >= goal) return;
      if (now !== last) movedAt = clock();
      last = now;
      if (clock() - movedAt > stuckAfterMs)
        throw new Error(`${what}: ${now} of ${goal}, nothing new for ${stuckAfterMs} ms`);
    }
  }

  return {
    get seen() {
      return seenAt.size;
    },
    get repeated() {
      return repeated;
    },
    visibleAt: (rolloutId) => rolloutAt.get(rolloutId),
    async transitions(count) {
      await until("transitions", async () => seenAt.size, count);
      return lastAt;
    },
    async rows(spans, transitions) {
      const progress = async (): Promise<number> => {
        await sleep(80);
        const counts = await countsOf(clickhouse);
        return Math.min(counts.spans, spans) + Math.min(counts.transitions, transitions);
      };
      await until("rows in ClickHouse", progress, spans + transitions);
      return clock();
    },
    async close() {
      await Promise.all(readers.map((reader) => reader.close()));
      await clickhouse.close();
      await context.close();
    },
  };
}

async function countsOf(client: ClickHouseClient): Promise<{ spans: number; transitions: number }> {
  const [row] = await rowsOf<{ spans: number; transitions: number }>(
    client,
    "SELECT (SELECT count() FROM spans) AS spans, (SELECT count() FROM transitions) AS transitions",
  );
  return row ?? { spans: 0, transitions: 0 };
}
