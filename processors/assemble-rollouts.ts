import { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import { keyOf } from "../schemas/topics.ts";
import type { AssemblyClosed, AttemptEnded, SpanKept, SpanRecorded } from "../schemas/types.ts";
import type { Event, Place, Processor, Step, Tick } from "./processor.ts";
import { type Assembled, abandonedRecord, assembledRecords } from "./traces/assembled.ts";
import { readSpan } from "./traces/read-span.ts";
import { sameOrFirst } from "./traces/same-or-first.ts";

type Row = "SpanKept" | "AttemptEnded" | "AssemblyClosed";
type Rows = ReadonlyMap<string, Tagged<Row>>;

/** Spans of a rollout that stays silent for longer never had an end written for them, ms. */
export const idleLimit = 24 * 3_600_000;

/** How long a finished rollout is remembered, so that late spans are told from new rollouts, ms. */
export const closedFor = 3_600_000;

/** A longer grace is cut to this, so that every rollout is closed some day, ms. */
const graceLimit = 24 * 3_600_000;

const closedRow = "closed";
const markRow = "mark";

/**
 * Spans → steps. Keeps what each span of an open rollout contributes; at the final mark (or
 * `grace_seconds` later) writes a step per LLM call of that attempt with the reward matched to it,
 * then the rollout's closing record with exact counts. Neither the order in which spans came nor
 * their being sent twice changes what is written; spans after the end are late and only counted.
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
  if (closed !== undefined && markIn(rows) === undefined) {
    return { put: [closedAs({ ...closed, late: closed.late + 1 })] };
  }
  const id = `span\u0000${span.attempt_id}\u0000${span.span_id}`;
  const read = readSpan(span, at);
  const before = rows.get(id);
  if (before?.type === "SpanKept") {
    const first = sameOrFirst(before.value, read);
    return first === before.value ? {} : { put: [[id, { type: "SpanKept", value: first }]] };
  }
  const put = [[id, { type: "SpanKept", value: read }] as const];
  return rows.size === 0 ? { put, wakeAt: at.timestamp + idleLimit } : { put };
}

function attemptEnded(rows: Rows, mark: AttemptEnded, at: Place): Step<Row, Assembled> {
  const closed = closedIn(rows);
  if (closed !== undefined) return {};
  if (!mark.final) return dropAttempt(rows, mark.attempt_id);
  const due = Math.ceil(mark.ended_at / 1000 + Math.min(mark.grace_seconds * 1000, graceLimit));
  const closing = {
    attempt_id: mark.attempt_id,
    closed_at: Math.max(mark.ended_at, at.timestamp * 1000),
    late: 0,
    mark_offset: at.offset,
  };
  if (mark.grace_seconds > 0 && due > at.timestamp) {
    return {
      put: [[markRow, { type: "AttemptEnded", value: mark }], closedAs(closing)],
      wakeAt: due,
    };
  }
  return close(rows, mark, closing, at);
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
  if (closed !== undefined && mark !== undefined) {
    return close(rows, mark, { ...closed, closed_at: tick.at.timestamp * 1000 }, tick.at);
  }
  if (closed !== undefined) return { drop: "all" };
  const spans = spansIn(rows);
  const last = spans.reduce((latest, span) => Math.max(latest, span.received_at), 0);
  const idleAt = last / 1000 + idleLimit;
  if (spans.length > 0 && idleAt > tick.at.timestamp) return { wakeAt: idleAt };
  return spans.length === 0 ? { drop: "all" } : abandon(spans, tick);
}

function close(
  rows: Rows,
  mark: AttemptEnded,
  closing: AssemblyClosed,
  at: Place,
): Step<Row, Assembled> {
  const spans = spansIn(rows).filter((span) => span.attempt_id === mark.attempt_id);
  const key = keyOf(mark.project, mark.group_id);
  const place = { partition: at.partition, markOffset: closing.mark_offset };
  return {
    drop: "all",
    put: [closedAs(closing)],
    wakeAt: at.timestamp + closedFor,
    emit: assembledRecords(spans, mark, place).map((record) => ({
      ...record,
      topic: "steps",
      key,
    })),
  };
}

/** Leaves nothing behind: should the rollout go on after all, its later spans are kept again. */
function abandon(spans: readonly SpanKept[], tick: Tick): Step<Row, Assembled> {
  const record = abandonedRecord(spans, tick.key, tick.at);
  return { drop: "all", emit: [{ ...record, topic: "steps", key: tick.key }] };
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
