import { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import { keyOf } from "../schemas/topics.ts";
import type { AssemblyClosed, AttemptEnded, SpanKept, SpanRecorded } from "../schemas/types.ts";
import type { Emitted, Event, Place, Processor, Step, Tick } from "./processor.ts";
import {
  type Assembled,
  abandonedRecords,
  assembledRecords,
  graceOf,
  type Writing,
  writtenDigest,
} from "./traces/assembled.ts";
import { readSpan } from "./traces/read-span.ts";
import { sameOrFirst } from "./traces/same-or-first.ts";

type Row = "SpanKept" | "AttemptEnded" | "AssemblyClosed";
type Rows = ReadonlyMap<string, Tagged<Row>>;

/** Spans of a rollout that stays silent for longer never had an end written for them, ms. */
export const idleLimit = 24 * 3_600_000;

/** How long a finished rollout is remembered, so that late spans are told from new rollouts, ms. */
export const closedFor = 3_600_000;

/** A rollout is written again this long after its end at the earliest, then at each doubling, ms. */
const firstRevision = 1000;

const closedRow = "closed";
const markRow = "mark";

/**
 * Spans → steps. Keeps what each span of an open rollout contributes; at the final mark writes a
 * step per LLM call of that attempt with the reward matched to it, why its other calls are none, and
 * the rollout's closing record with exact counts.
 *
 * Spans that come within `grace_seconds` after the end are folded in, and when they change the
 * steps, the rewards or the reasons the rollout is written again whole with `revision` + 1: 1, 2, 4,
 * … seconds after the end and when the grace is over, so that a stream of late spans costs a logarithm
 * of writings. Later ones are late: ClickHouse has them, here they are only counted.
 *
 * Neither the order in which spans came nor their being sent twice changes what the last revision
 * says; how many there were on the way to it depends on when the spans came.
 */
export const assembleRollouts: Processor<"SpanRecorded" | "AttemptEnded", Row, Assembled> = {
  name: "assemble-rollouts",
  reads: "spans",
  writes: ["steps"],
  rows: ["SpanKept", "AttemptEnded", "AssemblyClosed"],
  step(rows, event) {
    if (event.type === "Tick") return wake(rows, event);
    checkKey(event);
    return event.type === "SpanRecorded"
      ? keep(rows, event.value, event.at)
      : attemptEnded(rows, event.value, event.at);
  },
};

function checkKey({ key, value }: Event<"SpanRecorded" | "AttemptEnded">): void {
  const expected = keyOf(value.project, value.rollout_id);
  if (key === expected) return;
  throw new LightningError(
    "record-invalid",
    `key: read ${key}, must be ${expected} (project/rollout id)`,
  );
}

function keep(rows: Rows, span: SpanRecorded, at: Place): Step<Row, Assembled> {
  const closed = closedIn(rows);
  const mark = markIn(rows);
  if (closed !== undefined && mark === undefined) {
    return { put: [closedAs({ ...closed, late: closed.late + 1 })] };
  }
  const put = keptAs(rows, readSpan(span, at));
  if (put === null) return {};
  if (mark !== undefined) return { put: [put], wakeAt: nextWriting(mark, at.timestamp) };
  return rows.size === 0 ? { put: [put], wakeAt: at.timestamp + idleLimit } : { put: [put] };
}

/** The row a span becomes; null when it says nothing that is not known. */
function keptAs(rows: Rows, read: SpanKept): readonly [string, Tagged<"SpanKept">] | null {
  const id = `span\u0000${read.attempt_id}\u0000${read.span_id}`;
  const before = rows.get(id);
  const value = before?.type === "SpanKept" ? sameOrFirst(before.value, read) : read;
  return value === before?.value ? null : [id, { type: "SpanKept", value }];
}

function attemptEnded(rows: Rows, mark: AttemptEnded, at: Place): Step<Row, Assembled> {
  if (closedIn(rows) !== undefined) return {};
  if (!mark.final) return dropAttempt(rows, mark.attempt_id);
  const records = assembled(rows, mark, {
    partition: at.partition,
    markOffset: at.offset,
    revision: 0,
  });
  const closing = {
    attempt_id: mark.attempt_id,
    closed_at: Math.max(mark.ended_at, at.timestamp * 1000),
    late: 0,
    mark_offset: at.offset,
    revision: 0,
    written: "",
  };
  const due = graceEnd(mark);
  const emit = emitted(mark, records);
  if (due <= at.timestamp) return { ...forget(closing, at), emit };
  const put = closedAs({ ...closing, written: writtenDigest(records) });
  return { put: [[markRow, { type: "AttemptEnded", value: mark }], put], wakeAt: due, emit };
}

/** When the grace of an ended rollout is over, ms since epoch. */
function graceEnd(mark: AttemptEnded): number {
  return Math.ceil(mark.ended_at / 1000 + graceOf(mark) * 1000);
}

/** When what came at `now` is written, ms since epoch. */
function nextWriting(mark: AttemptEnded, now: number): number {
  const end = mark.ended_at / 1000;
  let wait = firstRevision;
  while (end + wait <= now) wait *= 2;
  return Math.min(graceEnd(mark), Math.ceil(end + wait));
}

/** The spans of an attempt that did not count go; the timer stays for those of the others. */
function dropAttempt(rows: Rows, attemptId: string): Step<Row, Assembled> {
  const drop = [...rows].flatMap(([id, row]) =>
    row.type === "SpanKept" && row.value.attempt_id === attemptId ? [id] : [],
  );
  return drop.length === rows.size ? { drop, wakeAt: null } : { drop };
}

function wake(rows: Rows, tick: Tick): Step<Row, Assembled> {
  const closed = closedIn(rows);
  const mark = markIn(rows);
  if (closed !== undefined && mark !== undefined) return writeAgain(rows, mark, closed, tick.at);
  if (closed !== undefined) return { drop: "all" };
  const spans = spansIn(rows);
  const last = spans.reduce((latest, span) => Math.max(latest, span.received_at), 0);
  const idleAt = last / 1000 + idleLimit;
  if (spans.length > 0 && idleAt > tick.at.timestamp) return { wakeAt: idleAt };
  return spans.length === 0 ? { drop: "all" } : abandon(spans, tick);
}

/** Writes the next revision if late spans changed anything; at the end of the grace forgets the spans. */
function writeAgain(
  rows: Rows,
  mark: AttemptEnded,
  closed: AssemblyClosed,
  at: Place,
): Step<Row, Assembled> {
  const revision = closed.revision + 1;
  const { mark_offset: markOffset } = closed;
  const records = assembled(rows, mark, { partition: at.partition, markOffset, revision });
  const written = writtenDigest(records);
  const isNew = written !== closed.written;
  const now = isNew ? { ...closed, revision, written } : closed;
  const emit = isNew ? emitted(mark, records) : [];
  const due = graceEnd(mark);
  if (due > at.timestamp) return { put: isNew ? [closedAs(now)] : [], wakeAt: due, emit };
  return { ...forget({ ...now, written: "", closed_at: at.timestamp * 1000 }, at), emit };
}

/** Of a rollout whose grace is over only its end is remembered, and that for a while. */
function forget(closing: AssemblyClosed, at: Place): Step<Row, Assembled> {
  return { drop: "all", put: [closedAs(closing)], wakeAt: at.timestamp + closedFor };
}

function assembled(rows: Rows, mark: AttemptEnded, writing: Writing): Tagged<Assembled>[] {
  const spans = spansIn(rows).filter((span) => span.attempt_id === mark.attempt_id);
  return assembledRecords(spans, mark, writing);
}

function emitted(mark: AttemptEnded, records: readonly Tagged<Assembled>[]): Emitted<Assembled>[] {
  const key = keyOf(mark.project, mark.group_id);
  return records.map((record) => ({ ...record, topic: "steps", key }));
}

/** Leaves nothing behind: should the rollout go on after all, its later spans are kept again. */
function abandon(spans: readonly SpanKept[], tick: Tick): Step<Row, Assembled> {
  const records = abandonedRecords(spans, tick.key, tick.at);
  return {
    drop: "all",
    emit: records.map((record) => ({ ...record, topic: "steps", key: tick.key })),
  };
}

function closedAs(value: AssemblyClosed): readonly [string, Tagged<"AssemblyClosed">] {
  return [closedRow, { type: "AssemblyClosed", value }];
}

function closedIn(rows: Rows): AssemblyClosed | undefined {
  const row = rows.get(closedRow);
  return row?.type === "AssemblyClosed" ? row.value : undefined;
}

function markIn(rows: Rows): AttemptEnded | undefined {
  const row = rows.get(markRow);
  return row?.type === "AttemptEnded" ? row.value : undefined;
}

function spansIn(rows: Rows): SpanKept[] {
  return [...rows.values()].flatMap((row) => (row.type === "SpanKept" ? [row.value] : []));
}
