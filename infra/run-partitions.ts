import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../schemas/errors.ts";
import { type Assigned, joinGroup } from "./kafka/group.ts";
import type { Running, Runtime } from "./runtime.ts";

/** The work on one partition: runs until `signal` is aborted, throws a LightningError otherwise. */
export type PartitionWork = (assigned: Assigned, signal: AbortSignal) => Promise<void>;

type Slot = { readonly stop: AbortController; readonly done: Promise<void> };

const backoffMs = { first: 50, most: 2000 };

/**
 * Keeps one piece of work running for every partition the group gives us. What an error does to it
 * follows from its code alone: `rejoin`, `restore` and `retry` take the partition over again after
 * a pause, `exit` and anything without a code end the role.
 */
export async function runPartitions(
  runtime: Runtime,
  group: string,
  topics: readonly string[],
  work: PartitionWork,
): Promise<Running> {
  const { logger, metrics } = runtime;
  const slots = new Map<string, Slot>();
  const ended = endOfRole();

  async function keepRunning(assigned: Assigned, signal: AbortSignal): Promise<void> {
    for (
      let pause = backoffMs.first;
      !signal.aborted;
      pause = Math.min(backoffMs.most, pause * 2)
    ) {
      const startedAt = Date.now();
      try {
        await work(assigned, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof LightningError) || isFinal(error, runtime)) {
          return ended.reject(error);
        }
        metrics.takeOvers.inc({ reader: group, reason: error.code });
        const fields = { reader: group, ...assigned, code: error.code, reason: error.message };
        if (error.reaction === "rejoin")
          logger.debug(fields, "partition lost, taking it over again");
        else logger.warn(fields, "partition interrupted, taking it over again");
        if (Date.now() - startedAt > 30_000) pause = backoffMs.first;
        await sleep(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  function onAssigned(assigned: readonly Assigned[]): void {
    const wanted = new Map(assigned.map((a) => [`${a.topic}/${a.partition}`, a]));
    for (const [key, slot] of slots) {
      if (wanted.has(key)) continue;
      slot.stop.abort();
      slots.delete(key);
    }
    for (const [key, partition] of wanted) {
      if (slots.has(key)) continue;
      const stop = new AbortController();
      slots.set(key, { stop, done: keepRunning(partition, stop.signal) });
    }
    logger.info({ reader: group, partitions: [...wanted.keys()] }, "partitions assigned");
  }

  const membership = await joinGroup(runtime.client, group, topics, onAssigned, (error) =>
    ended.reject(error),
  );
  return {
    done: ended.done,
    async stop() {
      const open = [...slots.values()];
      for (const { stop } of open) stop.abort();
      await Promise.all(open.map((slot) => slot.done));
      await membership.leave();
      ended.resolve();
    },
  };
}

/** Whether only a person can help: a gap in the log one may have allowed beforehand. */
function isFinal(error: LightningError, { acceptDataLoss }: Runtime): boolean {
  return error.reaction === "exit" && !(error.code === "data-lost" && acceptDataLoss);
}

/** A promise for whoever runs the role; until somebody waits for it a failure is not unhandled. */
function endOfRole(): { done: Promise<void>; resolve(): void; reject(error: unknown): void } {
  let settle = { resolve: (): void => undefined, reject: (_error: unknown): void => undefined };
  const done = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => undefined);
  return { done, ...settle };
}
