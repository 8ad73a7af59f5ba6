import { packRows, unpackRows } from "../schemas/packed-rows.ts";
import type { RecordName, Tagged } from "../schemas/records.ts";
import { createHeap } from "./heap.ts";
import type { Emitted, Event, Processor, Step, Tick } from "./processor.ts";

/** One row of the changelog: null deletes it. */
export type Change = { readonly key: string; readonly row: string; readonly value: Tagged | null };

/** Row id under which a key's timer stands in the changelog. */
export const timerRow = "\u0000timer";

/** Rows that rest are packed, a character a byte: one thing in memory instead of dozens. */
type KeyState = { rows: Map<string, Tagged> | string; wakeAt: number | null };

/** What nothing happened to for so long rests, ms of log time, and for twice as long at most. */
const restAfterMs = 5000;

/** A key of more rows is an open one, and packing what will be needed again costs more than it saves. */
const mostRestingRows = 4;

/**
 * The state of one input partition of a processor and the rules of folding it: the same code runs
 * under the broker (infra/run-processor.ts) and in memory (drive.ts). It is stepped in place; when
 * a commit fails the whole task is thrown away and restored from the changelog.
 */
export type Task = {
  /** Puts a changelog row back, in log order. */
  restore(change: Change): void;
  /**
   * Folds a record in; returns what to send, encoded. Encoding comes before the state changes: what
   * cannot be sent changes nothing. Due timers of earlier stream time must have fired.
   */
  record<T>(event: Event<RecordName>, encode: (emitted: Emitted<RecordName>) => T): T[];
  /** Fires every timer due at `time`, in order of time and key; returns what to send, encoded. */
  tick<T>(
    time: number,
    place: { partition: number; offset: number },
    encode: (emitted: Emitted<RecordName>) => T,
  ): T[];
  /** Earliest time anything wants to be woken, or null. */
  nextWake(): number | null;
  /** Rows changed since the last call, each once with its last value. */
  takeChanges(): Change[];
  /** Number of open keys. */
  readonly keys: number;
};

export function createTask(processor: Processor): Task {
  const states = new Map<string, KeyState>();
  const timers = createHeap(earlier);
  /** Changed rows since the last commit, and whether the changelog had the row before. */
  const changed = new Map<string, Map<string, boolean>>();
  /** Keys that something happened to since the last turn, and between that and the one before. */
  let touched = new Set<string>();
  let touchedBefore = new Set<string>();
  let turnedAt = Number.NEGATIVE_INFINITY;

  function turn(now: number): void {
    turnedAt = now;
    for (const key of touchedBefore) {
      if (touched.has(key)) continue;
      if (changed.has(key)) touched.add(key);
      else rest(states.get(key));
    }
    touchedBefore = touched;
    touched = new Set();
  }

  function note(key: string, row: string, existed: boolean): void {
    const rows = changed.get(key) ?? new Map<string, boolean>();
    changed.set(key, rows);
    if (!rows.has(row)) rows.set(row, existed);
  }

  function setRow(state: KeyState, key: string, row: string, value: Tagged | null): void {
    const rows = rowsOf(state);
    note(key, row, rows.has(row));
    if (value === null) rows.delete(row);
    else rows.set(row, value);
  }

  function setTimer(state: KeyState, key: string, wakeAt: number | null): void {
    if (state.wakeAt === wakeAt) return;
    note(key, timerRow, state.wakeAt !== null);
    state.wakeAt = wakeAt;
    if (wakeAt !== null) timers.add({ time: wakeAt, key });
  }

  function apply(key: string, step: Step<RecordName, RecordName>): void {
    const state = states.get(key) ?? emptyState();
    const rows = rowsOf(state);
    const drop = step.drop === "all" ? [...rows.keys()] : (step.drop ?? []);
    for (const row of drop) if (rows.has(row)) setRow(state, key, row, null);
    for (const [row, value] of step.put ?? []) setRow(state, key, row, value);
    if (step.wakeAt !== undefined) setTimer(state, key, step.wakeAt);
    keep(key, state);
  }

  function keep(key: string, state: KeyState): void {
    if (rowsOf(state).size === 0 && state.wakeAt === null) {
      states.delete(key);
      return;
    }
    states.set(key, state);
    touched.add(key);
  }

  function run<T>(
    event: Event<RecordName> | Tick,
    encode: (emitted: Emitted<RecordName>) => T,
  ): T[] {
    const state = states.get(event.key);
    if (state !== undefined) touched.add(event.key);
    const step = processor.step(state === undefined ? noRows : rowsOf(state), event);
    const encoded = (step.emit ?? []).map(encode);
    apply(event.key, step);
    const now = event.at.timestamp;
    if (now >= turnedAt + restAfterMs) turn(now);
    return encoded;
  }

  return {
    restore({ key, row, value }) {
      const state = states.get(key) ?? emptyState();
      if (row === timerRow) {
        state.wakeAt = value?.type === "TimerSet" ? value.value.wake_at : null;
        if (state.wakeAt !== null) timers.add({ time: state.wakeAt, key });
      } else if (value === null) rowsOf(state).delete(row);
      else rowsOf(state).set(row, value);
      keep(key, state);
    },
    record: run,
    tick<T>(
      time: number,
      place: { partition: number; offset: number },
      encode: (emitted: Emitted<RecordName>) => T,
    ): T[] {
      const out: T[] = [];
      for (let due = nextDue(); due !== null && due.time <= time; due = nextDue()) {
        timers.remove();
        const state = states.get(due.key);
        if (state === undefined) continue;
        setTimer(state, due.key, null);
        const at = { ...place, timestamp: due.time };
        out.push(...run({ type: "Tick", key: due.key, at }, encode));
      }
      return out;
    },
    nextWake: () => nextDue()?.time ?? null,
    takeChanges() {
      const changes: Change[] = [];
      for (const [key, rows] of changed) {
        for (const [row, existed] of rows) {
          const value = rowValue(states.get(key), row);
          if (value !== null || existed) changes.push({ key, row, value });
        }
      }
      changed.clear();
      return changes;
    },
    get keys() {
      return states.size;
    },
  };

  /** The earliest timer that is still wanted; stale ones are dropped on the way. */
  function nextDue(): Timer | null {
    for (let head = timers.head; head !== undefined; head = timers.head) {
      if (states.get(head.key)?.wakeAt === head.time) return head;
      timers.remove();
    }
    return null;
  }
}

/** The rows of a key, which rests no longer. */
function rowsOf(state: KeyState): Map<string, Tagged> {
  if (typeof state.rows === "string") {
    state.rows = new Map(unpackRows(Buffer.from(state.rows, "latin1")));
  }
  return state.rows;
}

function rest(state: KeyState | undefined): void {
  if (state === undefined || typeof state.rows === "string") return;
  if (state.rows.size <= mostRestingRows) {
    state.rows = packRows(state.rows).toString("latin1");
  }
}

const noRows: ReadonlyMap<string, Tagged> = new Map();

function rowValue(state: KeyState | undefined, row: string): Tagged | null {
  if (state === undefined) return null;
  if (row !== timerRow) return rowsOf(state).get(row) ?? null;
  return state.wakeAt === null ? null : { type: "TimerSet", value: { wake_at: state.wakeAt } };
}

const emptyState = (): KeyState => ({ rows: new Map(), wakeAt: null });

type Timer = { readonly time: number; readonly key: string };

/** Equal times fire in the order of their keys, the same everywhere. */
const earlier = (a: Timer, b: Timer): boolean =>
  a.time < b.time || (a.time === b.time && a.key < b.key);
