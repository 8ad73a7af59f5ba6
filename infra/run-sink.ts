import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../schemas/errors.ts";
import { changelogOf, deadLettersOf, type TopicSpec, topics } from "../schemas/topics.ts";
import type { Delivered, Sink } from "../sinks/sink.ts";
import { positionRecord, restoreChangelog } from "./changelog.ts";
import {
  type DeliveryLimits,
  defaultLimits,
  type Gathered,
  type Gathering,
  gather,
} from "./gather-records.ts";
import { inputPosition } from "./input-position.ts";
import type { Assigned } from "./kafka/group.ts";
import { openReader, type PartitionReader, type RawRecord } from "./kafka/reader.ts";
import { type Fence, type Outgoing, openFence } from "./kafka/transaction.ts";
import { runPartitions } from "./run-partitions.ts";
import { deadLetter, decodeAll, type Running, type Runtime } from "./runtime.ts";

/**
 * Runs a sink on every partition the group gives this instance. The position of a partition stands
 * in `<sink>.changelog`, as for processors, and with it the intent of the delivery under way.
 *
 * One delivery, in this order ({@link deliverOn} and {@link write} have the same numbers):
 * 1. gather records up to the limits;
 * 2. commit the intent: the last offset of the delivery, so that a replay has the same boundaries;
 * 3. write it; what the sink refuses goes to the dead letters, what it cannot reach is tried again;
 * 4. commit the position behind it, with the dead letters. While records flow the next delivery is
 *    gathered meanwhile, and its intent is committed with the position: one transaction for both.
 *
 * After a crash the heir opens the fence, reads position and intent, and delivers exactly the
 * intended range first: same boundaries, same insert token, one copy.
 */
export async function runSink(
  runtime: Runtime,
  sink: Sink,
  limits = defaultLimits,
): Promise<Running> {
  const specs: Readonly<Record<string, TopicSpec>> = topics;
  for (const topic of sink.reads) {
    await runtime.codec.prepare(topic, specs[topic]?.records ?? ["DeadLettered"]);
  }
  await runtime.codec.prepare(changelogOf(sink.name), ["PositionReached"]);
  await runtime.codec.prepare(deadLettersOf(sink.name), ["DeadLettered"]);
  return runPartitions(runtime, sink.name, sink.reads, (assigned, signal) =>
    runPartition({ runtime, sink, limits, signal, ...assigned }),
  );
}

type Context = Assigned & {
  readonly runtime: Runtime;
  readonly sink: Sink;
  readonly limits: DeliveryLimits;
  readonly signal: AbortSignal;
};

type State = Context & {
  readonly fence: Fence;
  readonly epoch: string;
  next: number;
  streamTime: number;
  /** The group's offset as last written, for lag tools. */
  offsetSent: number;
};

async function runPartition(context: Context): Promise<void> {
  const { runtime, sink, topic, partition } = context;
  const fence = await openFence(runtime.client, `${sink.name}.${topic}.${partition}`);
  try {
    const { position } = await restoreChangelog(
      runtime.client,
      runtime.codec,
      { reader: sink.name, partition: changelogPartition, slot: slotOf(context) },
      () => undefined,
    );
    const input = { reader: sink.name, topic, partition };
    const next = await inputPosition(runtime, input, position?.next_offset);
    const state: State = {
      ...context,
      fence,
      epoch: randomUUID(),
      next,
      streamTime: position?.stream_time ?? 0,
      offsetSent: next,
    };
    if (position?.intent_offset != null) await redeliver(state, position.intent_offset);
    await deliverOn(state);
  } finally {
    await fence.close();
  }
}

/** A sink reads several topics, so its positions share one changelog partition under slots. */
const changelogPartition = 0;

function slotOf({ topic, partition }: Assigned): string {
  return `\u0000${topic}/${partition}`;
}

/** Delivers the range an instance before us had announced. */
async function redeliver(state: State, intent: number): Promise<void> {
  const reader = open(state);
  try {
    const records: RawRecord[] = [];
    for (let end = state.next; end <= intent; ) {
      const fetched = await reader.next();
      if (fetched === undefined) return;
      records.push(...fetched.records.filter((r) => r.offset >= state.next && r.offset <= intent));
      end = fetched.nextOffset;
    }
    await write(state, records, () => none);
  } finally {
    await reader.close();
  }
}

function open(state: State): PartitionReader {
  const { runtime, topic, partition, next } = state;
  return openReader(runtime.client, {
    topic,
    partition,
    from: next,
    lingerMs: 250,
    maxWaitMs: 1000,
  });
}

async function deliverOn(state: State): Promise<void> {
  const reader = open(state);
  // 1. gather
  const gatherFrom = (from: number): Gathering =>
    gather(reader, state.limits, from, state.signal, (lag) => noteLag(state, lag));
  try {
    let records = await gatherFrom(state.next).done;
    let isIntended = false;
    while (!state.signal.aborted && records !== undefined) {
      const last = records.at(-1);
      if (last === undefined) {
        records = await gatherFrom(state.next).done;
        continue;
      }
      // 2. intent
      if (!isIntended) await commitPosition(state, state.next, last.offset, []);
      state.runtime.faults("intent-committed");
      const next = gatherFrom(last.offset + 1);
      const intended = await write(state, records, () => (next.started ? next.done : none));
      isIntended = intended !== undefined && intended.length > 0;
      records = await next.done;
    }
  } finally {
    await reader.close();
  }
}

const none: Promise<Gathered> = Promise.resolve([]);

function noteLag({ runtime, sink, topic, partition }: State, records: number): void {
  runtime.metrics.lag.set({ reader: sink.name, topic, partition: String(partition) }, records);
}

/**
 * Steps 3 and 4 of a range whose intent is committed.
 *
 * @param upcoming the next delivery, when one is being gathered; its intent goes with the position.
 * @returns the delivery whose intent was committed along.
 */
async function write(
  state: State,
  records: readonly RawRecord[],
  upcoming: () => Promise<Gathered>,
): Promise<Gathered> {
  const { runtime, sink, topic, partition } = state;
  const last = records.at(-1);
  if (last === undefined) return [];
  const refused: Outgoing[] = [];
  let delivered: Delivered[] = [];
  for (const decoded of await decodeAll(runtime.codec, records)) {
    const { raw } = decoded;
    state.streamTime = Math.max(state.streamTime, raw.timestamp);
    if ("refused" in decoded) {
      refused.push(deadLetter(runtime, sink.name, { topic, partition }, raw, decoded.refused));
      continue;
    }
    delivered.push({
      record: decoded.record,
      key: decoded.key,
      offset: raw.offset,
      timestamp: raw.timestamp,
    });
  }
  // 3. write
  const range = { topic, partition, firstOffset: state.next, lastOffset: last.offset };
  for (;;) {
    const bad = await writeUntilTaken(state, { ...range, records: delivered });
    if (bad === undefined) break;
    const raw = records.find((r) => r.offset === bad.fields.offset);
    if (raw === undefined) throw bad;
    refused.push(deadLetter(runtime, sink.name, { topic, partition }, raw, bad));
    delivered = delivered.filter((d) => d.offset !== raw.offset);
  }
  runtime.faults("insert-acked");
  // 4. position, and the intent of what comes next
  const next = await upcoming();
  await commitPosition(state, last.offset + 1, next?.at(-1)?.offset ?? null, refused);
  runtime.faults("committed");
  state.next = last.offset + 1;
  runtime.metrics.recordsRead.inc({ reader: sink.name, topic }, records.length);
  return next;
}

/** Tries until the sink took the delivery; returns the error when it refused one record of it. */
async function writeUntilTaken(
  state: State,
  delivery: Parameters<Sink["write"]>[0],
): Promise<LightningError | undefined> {
  const { runtime, sink, topic, partition, signal } = state;
  for (let attempt = 0; ; attempt++) {
    try {
      const writing = sink.write(delivery);
      setTimeout(() => runtime.faults("insert-sent"), 20).unref();
      await writing;
      return undefined;
    } catch (error) {
      if (!(error instanceof LightningError)) throw error;
      if (error.reaction === "dead-letter") return error;
      if (error.reaction !== "retry" || signal.aborted) throw error;
      const fields = {
        reader: sink.name,
        topic,
        partition,
        code: error.code,
        reason: error.message,
      };
      if (attempt === 0) runtime.logger.warn(fields, "the other side is away, the delivery waits");
      await sleep(Math.min(5000, 100 * 2 ** attempt), undefined, { signal }).catch(() => undefined);
    }
  }
}

async function commitPosition(
  state: State,
  next: number,
  intent: number | null,
  refused: readonly Outgoing[],
): Promise<void> {
  const { runtime, sink, topic, partition, fence } = state;
  const ended = runtime.metrics.commitSeconds.startTimer({ reader: sink.name });
  const transaction = await fence.begin();
  const position = {
    next_offset: next,
    intent_offset: intent,
    stream_time: state.streamTime,
    epoch: state.epoch,
    at: Date.now() * 1000,
  };
  await transaction.send([
    ...refused,
    positionRecord(runtime.codec, sink.name, changelogPartition, position, slotOf(state)),
  ]);
  if (next > state.offsetSent) {
    await transaction.sendOffset({ group: sink.name, topic, partition, offset: next });
    state.offsetSent = next;
  }
  await transaction.commit();
  ended();
  runtime.metrics.commits.inc({ reader: sink.name });
}
