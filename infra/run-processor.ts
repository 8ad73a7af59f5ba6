import { randomUUID } from "node:crypto";
import type { Emitted, Event, Processor } from "../processors/processor.ts";
import { createTask, type Task } from "../processors/task.ts";
import { LightningError } from "../schemas/errors.ts";
import type { RecordName } from "../schemas/records.ts";
import { changelogOf, deadLettersOf, maxValueBytes, topics } from "../schemas/topics.ts";
import type { PositionReached } from "../schemas/types.ts";
import { changelogRecords, positionRecord, restoreChangelog } from "./changelog.ts";
import { inputPosition } from "./input-position.ts";
import type { Assigned } from "./kafka/group.ts";
import { type Fetched, openReader } from "./kafka/reader.ts";
import { type Fence, type Outgoing, openFence } from "./kafka/transaction.ts";
import { runPartitions } from "./run-partitions.ts";
import {
  type Decoded,
  deadLetter,
  decodeGroups,
  type Running,
  type Runtime,
  refusalOf,
} from "./runtime.ts";

/**
 * Runs a processor on every partition the group gives this instance.
 *
 * Take-over of a partition, in this order:
 * 1. open the fence: InitProducerId of the partition's transactional id ends the predecessor;
 * 2. restore the changelog up to the last stable offset, with the position record in it;
 * 3. read the input from that position, which nobody but this changelog decides;
 * 4. accept records at or beyond the expected offset, no others.
 *
 * One commit, in this order ({@link commit} has the same numbers):
 * 1. step the task over the fetched records, timers first;
 * 2. send the outputs and dead letters, of a compacted topic the last of each key, and with them
 *    in one request
 * 3. the changed rows, last state of each, and the position record;
 * 4. add the input offset to the transaction (for lag tools alone, so once a second is enough);
 * 5. commit.
 *
 * The task is stepped in place. When anything fails between 1 and 5, task and producer are thrown
 * away and the partition is taken over again, so a step is either committed whole or never was.
 */
export async function runProcessor(runtime: Runtime, processor: Processor): Promise<Running> {
  await prepareCodec(runtime, processor);
  return runPartitions(runtime, processor.name, [processor.reads], (assigned, signal) =>
    runPartition(runtime, processor, assigned, signal),
  );
}

async function prepareCodec({ codec }: Runtime, processor: Processor): Promise<void> {
  await codec.prepare(processor.reads, topics[processor.reads].records);
  for (const topic of processor.writes) await codec.prepare(topic, topics[topic].records);
  const state: RecordName[] = [...processor.rows, "PositionReached", "TimerSet"];
  await codec.prepare(changelogOf(processor.name), state);
  await codec.prepare(deadLettersOf(processor.name), ["DeadLettered"]);
}

type Partition = {
  readonly runtime: Runtime;
  readonly processor: Processor;
  readonly partition: number;
  readonly fence: Fence;
  readonly task: Task;
  readonly epoch: string;
  /** The expected offset: first input offset not yet folded. */
  next: number;
  /** Largest record timestamp seen, ms. */
  streamTime: number;
  /** The group's offset as last written, and when, ms. */
  offsetSent: { next: number; at: number };
  /** What the last commit took, ms. */
  commitMs: number;
};

/**
 * How long records are gathered for a commit while they flow, ms: as long as the last one took,
 * within these. The scarcer the cores, the fewer transactions are made.
 */
const commitLinger = { least: 25, most: 50 };

/** How often the group's offset is written along, ms: only lag tools read it. */
const offsetEveryMs = 1000;

/** Records folded into one transaction at most: bounds memory and the size of a commit. */
const maxRecordsPerCommit = 5000;

async function runPartition(
  runtime: Runtime,
  processor: Processor,
  { partition }: Assigned,
  signal: AbortSignal,
): Promise<void> {
  const fence = await openFence(runtime.client, `${processor.name}.${partition}`);
  try {
    const state = await takeOver(runtime, processor, partition, fence);
    const reader = openReader(runtime.client, {
      topic: processor.reads,
      partition,
      from: state.next,
      lingerMs: () => Math.min(commitLinger.most, Math.max(commitLinger.least, state.commitMs)),
      maxWaitMs: () => idleWaitMs(state.task.nextWake()),
    });
    try {
      while (!signal.aborted) {
        const fetched = await reader.next();
        if (fetched === undefined) return;
        await fold(state, fetched);
      }
    } finally {
      await reader.close();
    }
  } finally {
    await fence.close();
  }
}

/** How long an idle poll may last, ms: timers fire between polls, so not beyond the next one. */
const idleWait = { least: 20, most: 500 };

function idleWaitMs(wakeAt: number | null): number {
  if (wakeAt === null) return idleWait.most;
  return Math.min(idleWait.most, Math.max(idleWait.least, wakeAt - Date.now()));
}

async function takeOver(
  runtime: Runtime,
  processor: Processor,
  partition: number,
  fence: Fence,
): Promise<Partition> {
  const task = createTask(processor);
  const options = { reader: processor.name, partition };
  const { position, records } = await restoreChangelog(
    runtime.client,
    runtime.codec,
    options,
    task.restore,
  );
  const input = { reader: processor.name, topic: processor.reads, partition };
  const next = await inputPosition(runtime, input, position?.next_offset);
  runtime.logger.info({ ...input, keys: task.keys, records, next }, "partition taken over");
  return {
    runtime,
    processor,
    partition,
    fence,
    task,
    epoch: randomUUID(),
    next,
    streamTime: position?.stream_time ?? 0,
    offsetSent: { next, at: 0 },
    commitMs: 0,
  };
}

/** Folds what was fetched, one commit for each part; then fires timers when caught up. */
async function fold(state: Partition, fetched: Fetched): Promise<void> {
  const fresh = fetched.records.filter((record) => record.offset >= state.next);
  for (let at = 0; at < fresh.length; at += maxRecordsPerCommit) {
    const part = fresh.slice(at, at + maxRecordsPerCommit);
    const last = at + maxRecordsPerCommit >= fresh.length;
    const outgoing = await stepRecords(state, part);
    await commit(state, outgoing, last ? fetched.nextOffset : (part.at(-1)?.offset ?? 0) + 1);
  }
  const { metrics } = state.runtime;
  const labels = { reader: state.processor.name, partition: String(state.partition) };
  const behind = Math.max(0, fetched.stableOffset - fetched.nextOffset);
  metrics.lag.set({ ...labels, topic: state.processor.reads }, behind);
  metrics.openKeys.set(labels, state.task.keys);
  if (behind === 0) await fireTimers(state, fetched.askedAt);
  const { offsetSent } = state;
  const isOffsetOld = offsetSent.next < state.next && Date.now() - offsetSent.at >= offsetEveryMs;
  if (fresh.length === 0 && isOffsetOld) await commit(state, [], state.next);
}

/**
 * Timers follow the log while there is log: one due at T fires before the first record later than
 * T. Only when everything written before `askedAt` has been folded may the wall clock go on alone.
 */
async function fireTimers(state: Partition, askedAt: number): Promise<void> {
  const wake = state.task.nextWake();
  if (wake === null || wake > askedAt) return;
  state.streamTime = Math.max(state.streamTime, askedAt);
  const place = { partition: state.partition, offset: state.next };
  const outgoing = state.task.tick(askedAt, place, (emitted) => encode(state, emitted));
  await commit(state, outgoing, state.next);
}

/** Commit step 1. */
async function stepRecords(state: Partition, part: Fetched["records"]): Promise<Outgoing[]> {
  const { runtime, processor } = state;
  const out: Outgoing[] = [];
  for await (const group of decodeGroups(runtime.codec, part)) {
    for (const decoded of group) out.push(...stepRecord(state, decoded));
  }
  runtime.metrics.recordsRead.inc({ reader: processor.name, topic: processor.reads }, part.length);
  return out;
}

function stepRecord(state: Partition, decoded: Decoded): Outgoing[] {
  const { runtime, processor, task, partition } = state;
  const { raw } = decoded;
  state.streamTime = Math.max(state.streamTime, raw.timestamp);
  runtime.metrics.recordBytes.observe({ topic: processor.reads }, raw.value?.length ?? 0);
  const at = { partition, offset: raw.offset, timestamp: raw.timestamp };
  const out = task.tick(state.streamTime, at, (emitted) => encode(state, emitted));
  try {
    if ("refused" in decoded) throw decoded.refused;
    if (decoded.record === null) return out;
    const event = { ...decoded.record, key: decoded.key, at } as Event<RecordName>;
    out.push(...task.record(event, (emitted) => encode(state, emitted)));
  } catch (error) {
    const source = { topic: processor.reads, partition };
    out.push(deadLetter(runtime, processor.name, source, raw, refusalOf(error)));
  }
  return out;
}

function encode({ runtime }: Partition, record: Emitted<RecordName>): Outgoing {
  const { topic, key } = record;
  if (record.type === null) return { topic, key, value: null };
  const value = runtime.codec.encode(topic, record);
  if (value.length <= maxValueBytes) return { topic, key, value };
  throw new LightningError(
    "record-invalid",
    `${record.type} for ${key} would have ${value.length} bytes, at most ${maxValueBytes} fit into a record`,
    { bytes: value.length },
  );
}

/**
 * Of a compacted topic only the last record of a key counts, so what a commit holds of it beside is
 * not sent, as Kafka Streams' record caches do: under load several requests of one rollout fall into
 * one commit. Outputs of other topics are all sent.
 */
export function lastOfEachKey(outgoing: readonly Outgoing[]): readonly Outgoing[] {
  const last = new Map<string, Outgoing>();
  for (const record of outgoing) {
    if (compacted.has(record.topic)) last.set(`${record.topic}\u0000${record.key}`, record);
  }
  return outgoing.filter(
    (record) =>
      !compacted.has(record.topic) || last.get(`${record.topic}\u0000${record.key}`) === record,
  );
}

const compacted: ReadonlySet<string> = new Set(
  Object.values(topics).flatMap(({ name, cleanup }) => (cleanup === "compact" ? [name] : [])),
);

async function commit(
  state: Partition,
  outgoing: readonly Outgoing[],
  next: number,
): Promise<void> {
  const { runtime, processor, partition, fence, task } = state;
  const { faults, metrics } = runtime;
  const began = performance.now();
  const transaction = await fence.begin();
  const position: PositionReached = {
    next_offset: next,
    intent_offset: null,
    stream_time: state.streamTime,
    epoch: state.epoch,
    at: Date.now() * 1000,
  };
  faults("before-send");
  const sent = lastOfEachKey(outgoing);
  const sending = transaction.send([
    // 2. outputs and dead letters
    ...sent,
    // 3. changed rows and the position
    ...changelogRecords(runtime.codec, processor.name, partition, task.takeChanges()),
    positionRecord(runtime.codec, processor.name, partition, position),
  ]);
  faults("sent");
  await sending;
  faults("changelog-sent");
  // 4. the offset, for lag tools
  const now = Date.now();
  if (now - state.offsetSent.at >= offsetEveryMs) {
    await transaction.sendOffset({
      group: processor.name,
      topic: processor.reads,
      partition,
      offset: next,
    });
    state.offsetSent = { next, at: now };
  }
  faults("offsets-added");
  // 5. commit
  await transaction.commit();
  faults("committed");
  state.next = next;
  state.commitMs = performance.now() - began;
  metrics.commitSeconds.observe({ reader: processor.name }, state.commitMs / 1000);
  metrics.commits.inc({ reader: processor.name });
  for (const { topic } of sent) metrics.recordsWritten.inc({ reader: processor.name, topic });
}
