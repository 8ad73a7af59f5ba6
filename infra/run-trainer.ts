import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../schemas/errors.ts";
import { changelogOf, deadLettersOf, topics } from "../schemas/topics.ts";
import { record } from "../sinks/trainer/groups.ts";
import {
  createLedger,
  type Effect,
  isFull,
  type Ledger,
  restore,
  take,
} from "../sinks/trainer/ledger.ts";
import type { TrainerPort } from "../sinks/trainer/port.ts";
import { expire } from "../sinks/trainer/settle.ts";
import { changelogRecords, positionRecord, restoreChangelog } from "./changelog.ts";
import { inputPosition } from "./input-position.ts";
import { type Fetched, openReader } from "./kafka/reader.ts";
import { type Fence, type Outgoing, openFence } from "./kafka/transaction.ts";
import { followResources } from "./resource-versions.ts";
import { runPartitions } from "./run-partitions.ts";
import { deadLetter, decodeAll, type Running, type Runtime, refusalOf } from "./runtime.ts";

/** Reader name of the trainer: group, changelog and transactional ids derive from it. */
export const trainerName = "trainer";

/**
 * Feeds the ledgers of the partitions this instance owns and commits what workers do to them.
 * Taking a partition over is the processors' order: fence, changelog, position. The position is the
 * low watermark: everything from there on is read again, and the changelog says what of it is done.
 *
 * One commit, in this order ({@link commitEffect}):
 * 1. send the records: batches, and the resource version an acknowledgement made;
 * 2. send the changed rows and the position;
 * 3. add the offset (for lag tools alone);
 * 4. commit; only then the worker is answered.
 */
export async function runTrainer(
  runtime: Runtime,
): Promise<Running & { readonly port: TrainerPort }> {
  await prepareCodec(runtime);
  const listeners = new Set<() => void>();
  const notify = (): void => {
    for (const listener of listeners) listener();
  };
  const owned = new Map<Ledger, Owned>();
  const versions = await followResources(runtime, notify);
  const running = await runPartitions(
    runtime,
    trainerName,
    ["transitions"],
    async ({ partition }, signal) => {
      const fence = await openFence(runtime.client, `${trainerName}.${partition}`);
      try {
        await feed(runtime, fence, partition, owned, notify, signal);
      } finally {
        await fence.close();
      }
    },
  );
  const port: TrainerPort = {
    partitions: () => [...owned.keys()],
    async commit(ledger, effect) {
      const found = owned.get(ledger);
      if (found === undefined) {
        throw new LightningError(
          "partition-lost",
          `partition ${ledger.partition} is not with this trainer now; ask again`,
        );
      }
      const forget = versions.announce(effect);
      try {
        await commitInTurn(runtime, found, effect, []);
      } catch (error) {
        forget();
        throw error;
      }
    },
    resources: versions.get,
    policy: versions.policy,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    port,
    done: running.done,
    async stop() {
      await running.stop();
      await versions.close();
    },
  };
}

async function prepareCodec({ codec }: Runtime): Promise<void> {
  for (const topic of ["transitions", "batches", "resources"] as const) {
    await codec.prepare(topic, topics[topic].records);
  }
  const rows = [
    "GroupTrained",
    "BatchLeased",
    "BatchTrained",
    "BatchReturned",
    "PositionReached",
  ] as const;
  await codec.prepare(changelogOf(trainerName), rows);
  await codec.prepare(deadLettersOf(trainerName), ["DeadLettered"]);
}

/** A restored ledger, the right to write for it, and the commits handed in so far. */
type Owned = {
  readonly ledger: Ledger;
  readonly fence: Fence;
  readonly epoch: string;
  last: Promise<void>;
  streamTime: number;
  /** Ends the feeding when a commit failed: what the ledger says is no longer what the log says. */
  readonly broken: AbortController;
};

async function feed(
  runtime: Runtime,
  fence: Fence,
  partition: number,
  owned: Map<Ledger, Owned>,
  notify: () => void,
  signal: AbortSignal,
): Promise<void> {
  const rows: Parameters<typeof restore>[1][] = [];
  const options = { reader: trainerName, partition };
  const { position } = await restoreChangelog(
    runtime.client,
    runtime.codec,
    options,
    ({ key, value }) => {
      rows.push({ key, value } as Parameters<typeof restore>[1]);
    },
  );
  const input = { reader: trainerName, topic: "transitions", partition };
  const from = await inputPosition(runtime, input, position?.next_offset);
  const ledger = createLedger(partition, from);
  for (const row of rows) restore(ledger, row);
  const state: Owned = {
    ledger,
    fence,
    epoch: randomUUID(),
    last: Promise.resolve(),
    streamTime: 0,
    broken: new AbortController(),
  };
  const reader = openReader(runtime.client, { topic: "transitions", partition, from });
  try {
    while (!signal.aborted && !state.broken.signal.aborted) {
      if (isFull(ledger)) await sleep(100);
      else {
        const fetched = await reader.next();
        if (fetched === undefined) return;
        const refused = await feedRecords(runtime, ledger, fetched);
        if (fetched.nextOffset >= fetched.stableOffset) owned.set(ledger, state);
        await settle(runtime, state, refused);
        if (fetched.records.length > 0) notify();
      }
    }
  } finally {
    owned.delete(ledger);
    await reader.close();
    // Nothing may still be on its way through the fence when it is closed.
    await state.last.catch(() => undefined);
  }
  if (state.broken.signal.aborted) throw state.broken.signal.reason;
}

async function feedRecords(
  runtime: Runtime,
  ledger: Ledger,
  fetched: Fetched,
): Promise<Outgoing[]> {
  const refused: Outgoing[] = [];
  const source = { topic: "transitions", partition: ledger.partition };
  for (const decoded of await decodeAll(runtime.codec, fetched.records)) {
    const { raw } = decoded;
    try {
      if ("refused" in decoded) throw decoded.refused;
      record(ledger, {
        record: decoded.record,
        key: decoded.key,
        offset: raw.offset,
        timestamp: raw.timestamp,
      });
    } catch (error) {
      refused.push(deadLetter(runtime, trainerName, source, raw, refusalOf(error)));
    }
  }
  runtime.metrics.recordsRead.inc(
    { reader: trainerName, topic: "transitions" },
    fetched.records.length,
  );
  return refused;
}

/** Returns expired leases and writes what feeding changed, when it changed anything. */
async function settle(runtime: Runtime, state: Owned, refused: readonly Outgoing[]): Promise<void> {
  expire(state.ledger, Date.now());
  const effect = take(state.ledger);
  if (effect.records.length + effect.rows.length + refused.length === 0) return;
  await commitInTurn(runtime, state, effect, refused);
}

/** One commit behind the other; after a failed one the ledger is given up. */
function commitInTurn(
  runtime: Runtime,
  state: Owned,
  effect: Effect,
  refused: readonly Outgoing[],
): Promise<void> {
  const mine = state.last.then(() => commitEffect(runtime, state, effect, refused));
  state.last = mine;
  mine.catch((error) => state.broken.abort(error));
  return mine;
}

async function commitEffect(
  runtime: Runtime,
  { ledger, fence, epoch, streamTime }: Owned,
  effect: Effect,
  refused: readonly Outgoing[],
): Promise<void> {
  const { codec, faults, metrics } = runtime;
  const { partition } = ledger;
  const { records, rows, lowWatermark } = effect;
  if (records.length + rows.length + refused.length === 0) return;
  if (records.some((r) => r.type === "BatchTrained")) faults("ack-received");
  const ended = metrics.commitSeconds.startTimer({ reader: trainerName });
  const transaction = await fence.begin();
  // 1. records
  faults("before-send");
  await transaction.send([
    ...records.map((r) => ({ topic: r.topic, key: r.key, value: codec.encode(r.topic, r) })),
    ...refused,
  ]);
  faults("sent");
  // 2. rows and position
  const position = {
    next_offset: lowWatermark,
    intent_offset: null,
    stream_time: streamTime,
    epoch,
    at: Date.now() * 1000,
  };
  await transaction.send([
    ...changelogRecords(
      codec,
      trainerName,
      partition,
      rows.map(({ key, value }) => ({ key, row: "", value })),
    ),
    positionRecord(codec, trainerName, partition, position),
  ]);
  faults("changelog-sent");
  // 3. offset
  await transaction.sendOffset({
    group: trainerName,
    topic: "transitions",
    partition,
    offset: lowWatermark,
  });
  faults("offsets-added");
  // 4. commit
  await transaction.commit();
  faults("committed");
  if (records.some((r) => r.type === "BatchLeased")) faults("lease-granted");
  ended();
  metrics.commits.inc({ reader: trainerName });
}
