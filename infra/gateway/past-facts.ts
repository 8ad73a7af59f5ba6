import { setTimeout as sleep } from "node:timers/promises";
import type { ClickHouseClient } from "../../sinks/clickhouse/client.ts";
import { lastRequests } from "../../sinks/clickhouse/queries-history.ts";
import { scan } from "../kafka/scan.ts";
import type { Runtime } from "../runtime.ts";
import { passed } from "../watermark.ts";
import { openLogEnds, shareNext } from "./log-ends.ts";
import type { SinkPositions } from "./sink-positions.ts";

export type PastFactsOptions = {
  readonly clickhouse: ClickHouseClient;
  readonly positions: SinkPositions;
  /** By partition, offset of the last request that changed a rollout the fold has forgotten. */
  readonly forgotten: ReadonlyMap<number, number>;
};

export type PastFacts = {
  /** Resolves when ClickHouse has every rollout forgotten by now. Throws `deadline-passed`. */
  written(deadline: number): Promise<void>;
};

/** How long to wait before ClickHouse is asked again how far it is, ms. */
const againAfterMs = 100;

/**
 * Whether ClickHouse has the rollouts that are in no fold any more. Those forgotten before the start:
 * when the sink has passed what stood in `rollouts` then. Those forgotten since: facts of a partition
 * are in the order of their requests, so when it has one of a request as late as the last that
 * changed any of them. A rollout is forgotten long after its last change: mostly nothing is asked.
 */
export async function followPastFacts(
  runtime: Runtime,
  { clickhouse, positions, forgotten }: PastFactsOptions,
): Promise<PastFacts> {
  const atStart = await factsInLog(runtime, positions);
  let reached: ReadonlyMap<number, number> = new Map();
  const ask = shareNext(async () => {
    reached = await lastRequests(clickhouse);
  });

  function ahead(): [number, number] | undefined {
    return [...forgotten].find(([partition, last]) => last > (reached.get(partition) ?? -1));
  }

  return {
    async written(deadline) {
      const marks = [...atStart].map(([partition, end]) =>
        positions
          .of("rollouts", partition)
          .reached(end, deadline, `ClickHouse: rollouts/${partition}`),
      );
      await Promise.all(marks);
      for (let missing = ahead(); missing !== undefined; ) {
        await ask();
        missing = ahead();
        if (missing === undefined) return;
        if (Date.now() >= deadline) {
          const [partition, last] = missing;
          throw passed(`ClickHouse: rollouts/${partition} lacks the fact of request ${last}`);
        }
        await sleep(againAfterMs);
      }
    },
  };
}

/** Offsets at the end of the log among which a record is looked for first. */
const lastOffsets = 256;

async function factsInLog(
  runtime: Runtime,
  positions: SinkPositions,
): Promise<ReadonlyMap<number, number>> {
  const ends = openLogEnds(runtime.client, "rollouts", "committed");
  const log = await ends.now();
  await ends.close();
  const facts = [...log].map(async ([partition, end]) => {
    const from = positions.of("rollouts", partition).at;
    return [partition, await behindLastRecord(runtime, partition, from, end)] as const;
  });
  return new Map(await Promise.all(facts));
}

/**
 * Offset behind the last record of a range. The log ends with the marker of a transaction, which no
 * sink ever passes: its position is behind the last record it wrote.
 */
async function behindLastRecord(
  { client }: Pick<Runtime, "client">,
  partition: number,
  from: number,
  to: number,
): Promise<number> {
  const near = Math.max(from, to - lastOffsets);
  let last = from;
  for await (const { records } of scan(client, { topic: "rollouts", partition, from: near, to })) {
    last = (records.at(-1)?.offset ?? last - 1) + 1;
  }
  if (last > from || near === from) return last;
  return behindLastRecord({ client }, partition, from, near);
}
