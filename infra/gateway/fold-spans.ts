import type { Spans } from "../../producers/gateway/ports.ts";
import type { Produced } from "../../producers/producer.ts";
import type { Codec } from "../../schemas/codec.ts";
import { LightningError } from "../../schemas/errors.ts";
import { topics } from "../../schemas/topics.ts";
import type { RolloutChanged, SpanRecorded } from "../../schemas/types.ts";
import type { StoredSpan } from "../../sinks/clickhouse/queries-spans.ts";
import type { AppendAt } from "../append-records.ts";
import { topicOffsets } from "../kafka/admin.ts";
import type { Written } from "../kafka/append.ts";
import type { Runtime } from "../runtime.ts";
import { openLogEnds } from "./log-ends.ts";
import type { SinkPositions } from "./sink-positions.ts";
import {
  byPlace,
  createSpanIndex,
  type IndexedSpan,
  identityOf,
  type Missing,
  type SpanIndex,
} from "./span-index.ts";
import type { StoredSpans } from "./stored-spans.ts";
import { type SpanTail, tailSpans } from "./tail-spans.ts";

export type SpanFoldOptions = {
  /** Limit of the index, bytes; see span-index.ts for what counts. */
  readonly memoryBytes: number;
  /** How long a read may wait for the log and for the sink, ms. */
  readonly deadlineMs: number;
  /** The rollout as the fold of `requests` has it. */
  rolloutOf(project: string, rolloutId: string): RolloutChanged | undefined;
  readonly stored: StoredSpans;
  readonly positions: SinkPositions;
};

export type SpanFold = Spans & {
  /** How many records the tails are behind. */
  progress(): { readonly behind: number };
  readonly index: Pick<SpanIndex, "bytes" | "rollouts">;
  close(): Promise<void>;
};

/** Clocks of several brokers differ by less; what was enqueued within is looked up, ms. */
const clockMargin = 1000;

/**
 * Every gateway's view of the spans: the tail of the log in memory, the rest in ClickHouse. A read
 * waits until the tail has come to where the log ended when it was asked, so it sees what anybody's
 * write was acknowledged for before. The tail begins where the sink stands, and the index knows
 * which rollouts it holds whole; for the others ClickHouse is asked as well, once the sink has
 * passed what the index lacks.
 */
export async function foldSpans(
  runtime: Runtime,
  append: AppendAt,
  options: SpanFoldOptions,
  onError: (error: Error) => void,
): Promise<SpanFold> {
  const { client, codec } = runtime;
  await codec.prepare("spans", topics.spans.records);
  const start = await startOf(runtime, options.positions);
  const index = createSpanIndex(options.memoryBytes, start);
  const tails = new Map<number, SpanTail>();
  for (const [partition, from] of start.offsets) {
    tails.set(partition, tailSpans(runtime, { partition, from }, index, onError));
  }
  const ends = openLogEnds(client, "spans", "uncommitted");
  const reads = readsOf({ ...options, index, codec, tails });
  await Promise.all([...tails.values()].map((tail) => tail.caughtUp));

  async function caughtUp(deadline: number): Promise<void> {
    await reads.readUpTo(await ends.now(), deadline);
  }

  /** Counts of what was stored before the tail began: they do not change. */
  const before = new Map<string, Promise<number>>();
  function countBefore(project: string): Promise<number> {
    const known = before.get(project);
    if (known !== undefined) return known;
    if (before.size >= countedProjects) before.clear();
    const asked = options.stored.countBefore(project, start.offsets);
    before.set(project, asked);
    asked.catch(() => before.delete(project));
    return asked;
  }

  return {
    async add(spans) {
      const written = await append(spans);
      return reads.firsts(spans, written, Date.now() + options.deadlineMs);
    },
    async of(project, rolloutId) {
      const deadline = Date.now() + options.deadlineMs;
      await caughtUp(deadline);
      return reads.spansOf(project, rolloutId, deadline);
    },
    caughtUp: () => caughtUp(Date.now() + options.deadlineMs),
    highest: (project, rolloutId) =>
      reads.highest(project, rolloutId, Date.now() + options.deadlineMs),
    async count(project) {
      const deadline = Date.now() + options.deadlineMs;
      const [stored] = await Promise.all([countBefore(project), caughtUp(deadline)]);
      // What was read again may repeat what is counted in ClickHouse.
      await reads.learnAll(project, deadline);
      return stored + index.count(project);
    },
    progress: () => ({ behind: [...tails.values()].reduce((sum, tail) => sum + tail.behind(), 0) }),
    index,
    close: async () => {
      await Promise.all([ends.close(), ...[...tails.values()].map((tail) => tail.close())]);
    },
  };
}

/** How many projects' counts are kept. */
const countedProjects = 10_000;

type Start = { readonly offsets: Missing; readonly time: number };

/** Where the sink stands: what is before is in ClickHouse. */
async function startOf({ client }: Runtime, positions: SinkPositions): Promise<Start> {
  const partitions = await topicOffsets(client, "spans");
  const offsets = new Map(
    partitions.map(({ partition, earliest }) => [
      partition,
      Math.max(earliest, positions.of("spans", partition).at),
    ]),
  );
  const whole = [...offsets.values()].every((from) => from === 0);
  return {
    offsets,
    time: whole ? Number.NEGATIVE_INFINITY : positions.timeOf("spans") + clockMargin,
  };
}

type Parts = SpanFoldOptions & {
  readonly index: SpanIndex;
  readonly codec: Codec;
  readonly tails: ReadonlyMap<number, SpanTail>;
};

/** What is asked of the index and ClickHouse together. */
function readsOf({ index, codec, tails, stored, positions, rolloutOf }: Parts) {
  async function readUpTo(ends: Missing, deadline: number): Promise<void> {
    await Promise.all(
      [...ends].map(([partition, end]) =>
        tails.get(partition)?.position.reached(end, deadline, `spans/${partition}`),
      ),
    );
  }

  async function writtenUpTo(ends: Missing, deadline: number): Promise<void> {
    await Promise.all(
      [...ends].map(([partition, end]) =>
        positions.of("spans", partition).reached(end, deadline, `ClickHouse: spans/${partition}`),
      ),
    );
  }

  /** ms since epoch. */
  function enqueuedAt(project: string, rolloutId: string): number | undefined {
    const rollout = rolloutOf(project, rolloutId);
    return rollout === undefined ? undefined : Math.floor(rollout.enqueued_at / 1000);
  }

  async function spansOf(project: string, rolloutId: string, deadline: number) {
    const { spans, missing } = index.of(project, rolloutId, enqueuedAt(project, rolloutId));
    const here = spans.flatMap((span) => decoded(codec, span) ?? []);
    if (missing === null) return here.map(({ span }) => span);
    await writtenUpTo(missing, deadline);
    return union(await stored.of(project, rolloutId), here);
  }

  async function highest(project: string, rolloutId: string, deadline: number) {
    const here = index.highest(project, rolloutId);
    const { missing } = index.of(project, rolloutId, enqueuedAt(project, rolloutId));
    if (missing === null) return here;
    const asked = writtenUpTo(missing, deadline).then(() => stored.highest(project, rolloutId));
    const there = (await unlessAway(asked)) ?? null;
    return here === null || there === null ? (here ?? there) : Math.max(here, there);
  }

  /** Asks for what is stored of rollouts the index does not hold whole, once each. */
  async function learnStored(
    rollouts: Iterable<readonly [project: string, rolloutId: string]>,
    deadline: number,
  ): Promise<void> {
    const asked = [...rollouts].map(async ([project, rolloutId]) => {
      const at = enqueuedAt(project, rolloutId);
      if (index.judges(project, rolloutId, at)) return;
      await writtenUpTo(index.of(project, rolloutId, at).missing ?? new Map(), deadline);
      const places = await stored.places(project, rolloutId);
      index.remember(
        project,
        rolloutId,
        places.map((place) => ({
          attemptId: place.attempt_id,
          spanId: place.span_id,
          partition: place.kafka_partition,
          offset: place.kafka_offset,
        })),
      );
    });
    await Promise.all(asked);
  }

  /** Of every rollout of the project that has spans here, once; those held whole need none. */
  async function learnAll(project: string, deadline: number): Promise<void> {
    const rollouts = index.rolloutsOf(project).map((id) => [project, id] as const);
    await unlessAway(learnStored(rollouts, deadline));
  }

  /** Of a span that the index has let go of again already. */
  async function firstInStore(value: SpanRecorded, at: Written, deadline: number) {
    await writtenUpTo(new Map([[at.partition, at.offset + 1]]), deadline);
    const places = await stored.places(value.project, value.rollout_id);
    const found = places.find(
      (place) => place.attempt_id === value.attempt_id && place.span_id === value.span_id,
    );
    if (found === undefined) return true;
    return found.kafka_partition === at.partition && found.kafka_offset === at.offset;
  }

  async function firsts(
    spans: readonly Produced<"SpanRecorded">[],
    written: readonly Written[],
    deadline: number,
  ): Promise<readonly boolean[]> {
    const ends = new Map<number, number>();
    for (const { partition, offset } of written) {
      ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1));
    }
    await readUpTo(ends, deadline);
    const rollouts = new Map(spans.map(({ key, value: v }) => [key, [v.project, v.rollout_id]]));
    await unlessAway(learnStored(rollouts.values() as Iterable<[string, string]>, deadline));
    return Promise.all(
      spans.map(async ({ value }, i) => {
        const at = written[i] ?? { partition: -1, offset: -1 };
        const { project, rollout_id: rolloutId, attempt_id: attemptId, span_id: spanId } = value;
        const verdict = index.verdictOf({ project, rolloutId, attemptId, spanId }, at);
        if (verdict !== "unknown") return verdict === "first";
        return at.offset < 0 || ((await unlessAway(firstInStore(value, at, deadline))) ?? true);
      }),
    );
  }

  return { readUpTo, spansOf, highest, firsts, learnAll };
}

/**
 * ClickHouse being away stops no write: the span is in the log, and only whether it repeats one
 * that is no longer in memory is not known then; it is taken for new.
 */
async function unlessAway<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof LightningError && error.reaction === "retry") return undefined;
    throw error;
  }
}

type Placed = { readonly partition: number; readonly offset: number; readonly span: SpanRecorded };

/** Null: its head was read when it came, but what is behind is broken; the sink refuses it too. */
function decoded(codec: Codec, { partition, offset, bytes }: IndexedSpan): Placed | null {
  try {
    const record = codec.decode(bytes);
    return record?.type === "SpanRecorded" ? { partition, offset, span: record.value } : null;
  } catch (error) {
    if (error instanceof LightningError && error.reaction === "dead-letter") return null;
    throw error;
  }
}

/** Both, each identity once, by its first record, in log order. */
function union(there: readonly StoredSpan[], here: readonly Placed[]): SpanRecorded[] {
  const firsts = new Map<string, Placed>();
  const stored = there.map(({ kafka_partition: partition, kafka_offset: offset, ...span }) => ({
    partition,
    offset,
    span,
  }));
  for (const placed of [...stored, ...here]) {
    const identity = identityOf(placed.span.attempt_id, placed.span.span_id);
    const known = firsts.get(identity);
    if (known === undefined || byPlace(placed, known) < 0) firsts.set(identity, placed);
  }
  return [...firsts.values()].sort(byPlace).map(({ span }) => span);
}
