import { setTimeout as sleep } from "node:timers/promises";
import type { Codec } from "../../schemas/codec.ts";
import { LightningError } from "../../schemas/errors.ts";
import { type SpanHead, spanHeadOf } from "../../schemas/span-head.ts";
import type { Appender, WrittenRun } from "../kafka/append.ts";
import { createOpenTransactions } from "../kafka/open-transactions.ts";
import { type Fetched, openReader, type RawRecord } from "../kafka/reader.ts";
import { followOwnRecords } from "../own-records.ts";
import type { Runtime } from "../runtime.ts";
import { createWatermark, type Watermark } from "../watermark.ts";
import type { SpanIndex } from "./span-index.ts";

/** Follows one partition of `spans` into an index. */
export type SpanTail = {
  readonly partition: number;
  readonly position: Watermark;
  /** Resolves when everything that was there at the start is in the index. */
  readonly caughtUp: Promise<void>;
  /** Records between here and the end seen last. */
  behind(): number;
  close(): Promise<void>;
};

type Headed = {
  readonly head: SpanHead;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly producerId: string | null;
  readonly bytes: Buffer;
};

/** What records of open transactions may hold in memory, bytes a partition. */
const heldLimit = 32 * 1024 * 1024;

/**
 * Does not wait for transactions: the marks that track-rollouts writes among the spans would hold
 * everything behind them back for the length of its commits. What a producer wrote in a transaction
 * counts from its commit on; of one that does not fit into memory the index is told that it lacks.
 *
 * Only the head of a span is decoded: a gateway follows all spans and is asked for a few.
 */
export function tailSpans(
  runtime: Pick<Runtime, "client" | "codec"> & { readonly appender?: Appender },
  { partition, from }: { readonly partition: number; readonly from: number },
  index: Pick<SpanIndex, "add" | "lose">,
  onError: (error: Error) => void,
): SpanTail {
  const { client, codec } = runtime;
  const reader = openReader(client, {
    topic: "spans",
    partition,
    from,
    isolation: "uncommitted",
    maxWaitMs: 500,
    lingerMs: () => own.lingerMs(),
  });
  const position = createWatermark(from);
  const transactions = createOpenTransactions<Headed>();
  let held = 0;
  let behind = Number.POSITIVE_INFINITY;

  function fits(span: Headed): boolean {
    if (span.producerId === null) return true;
    if (transactions.held === 0) held = 0;
    held += span.bytes.length;
    if (held <= heldLimit) return true;
    index.lose(span, span.timestamp);
    return false;
  }

  function takeOwn({ offset, timestamp, records }: WrittenRun): boolean {
    const spans: Headed[] = [];
    for (const [i, { value }] of records.entries()) {
      if (value === null || codec.isOwn("SpanRecorded", value) !== true) return false;
      const place = { partition, offset: offset + i, timestamp, producerId: null };
      spans.push({ ...place, head: spanHeadOf(value), bytes: value });
    }
    for (const span of spans) index.add(span);
    return true;
  }

  const own = followOwnRecords(
    { topic: "spans", partition },
    runtime.appender,
    position,
    takeOwn,
    onError,
  );

  async function take(fetched: Fetched): Promise<void> {
    const spans: Headed[] = [];
    for (const raw of fetched.records) {
      if (raw.offset < position.at) continue;
      const head = headOf(codec, raw) ?? (await headOnceLearnt(codec, raw));
      if (head === null || raw.value === null) continue;
      const { offset, timestamp, producerId, value: bytes } = raw;
      const span = { head, partition, offset, timestamp, producerId, bytes };
      if (fits(span)) spans.push(span);
    }
    for (const span of transactions.take(spans, fetched.markers)) index.add(span);
  }

  async function run(ready: () => void): Promise<void> {
    for (let fetched = await reader.next(); fetched !== undefined; fetched = await reader.next()) {
      await take(fetched);
      position.advance(fetched.nextOffset);
      behind = Math.max(0, fetched.endOffset - fetched.nextOffset);
      if (behind === 0) ready();
    }
  }

  const caughtUp = new Promise<void>((resolve, reject) => {
    run(resolve).catch((error) => {
      reject(error);
      onError(error);
    });
  });
  caughtUp.catch(() => undefined);
  return {
    partition,
    position,
    caughtUp,
    behind: () => behind,
    close() {
      own.close();
      return reader.close();
    },
  };
}

/**
 * The head of a record, null when it is no span or can never be read (the sink keeps those in its
 * dead letters), undefined when its schema has to be learnt first.
 */
function headOf(codec: Codec, { key, value }: RawRecord): SpanHead | null | undefined {
  if (key === null || value === null) return null;
  try {
    if (codec.isOwn("SpanRecorded", value) === true) return spanHeadOf(value);
    const record = codec.decode(value);
    if (record === undefined) return undefined;
    if (record.type !== "SpanRecorded") return null;
    const { project, rollout_id, attempt_id, sequence_id, span_id } = record.value;
    return {
      project,
      rolloutId: rollout_id,
      attemptId: attempt_id,
      sequenceId: sequence_id,
      spanId: span_id,
    };
  } catch (error) {
    if (error instanceof LightningError && error.reaction === "dead-letter") return null;
    throw error;
  }
}

/** Waits for the registry when it is away: a span that cannot be placed may be anybody's. */
async function headOnceLearnt(codec: Codec, raw: RawRecord): Promise<SpanHead | null> {
  for (let attempt = 0; raw.value !== null; attempt++) {
    try {
      await codec.learn(raw.value);
      return headOf(codec, raw) ?? null;
    } catch (error) {
      if (!(error instanceof LightningError)) throw error;
      if (error.reaction === "dead-letter") return null;
      if (error.reaction !== "retry") throw error;
      await sleep(Math.min(1000, 50 * 2 ** attempt));
    }
  }
  return null;
}
