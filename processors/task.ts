import type { RecordName, Tagged } from "../schemas/records.ts";
import { createHeap } from "./heap.ts";
import type { Emitted, Event, Processor, Step, Tick } from "./processor.ts";

/** One row of the changelog: null deletes it. */
export type Change = { readonly key: string; readonly row: string; readonly value: Tagged | null };

/** Row id under which a key's timer stands in the changelog. */
export const timerRow = "\u0000timer";

type KeyState = { readonly rows: Map<string, Tagged>; wakeAt: number | null };

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

  function note(key: string, row: string, existed: boolean): void {
    const rows = changed.get(key) ?? new Map<string, boolean>();
    changed.set(key, rows);
    if (!rows.has(row)) rows.set(row, existed);
  }

  function setRow(state: KeyState, key: string, row: string, value: Tagged | null): void {
    note(key, row, state.rows.has(row));
    if (value === null) state.rows.delete(row);
    else state.rows.set(row, value);
  }

  function setTimer(state: KeyState, key: string, wakeAt: number | null): void {
    if (state.wakeAt === wakeAt) return;
    note(key, timerRow, state.wakeAt !== null);
    state.wakeAt = wakeAt;
    if (wakeAt !== null) timers.add({ time: wakeAt, key });
  }

  function apply(key: string, step: Step<RecordName, RecordName>): void {
    const state = states.get(key) ?? { rows: new Map(), wakeAt: null };
    const drop = step.drop === "all" ? [...state.rows.keys()] : (step.drop ?? []);
    for (const row of drop) if (state.rows.has(row)) setRow(state, key, row, null);
    for (const [row, value] of step.put ?? []) setRow(state, key, row, value);
    if (step.wakeAt !== undefined) setTimer(state, key, step.wakeAt);
    if (state.rows.size === 0 && state.wakeAt === null) states.delete(key);
    else states.set(key, state);
  }

  function run<T>(
    event: Event<RecordName> | Tick,
    encode: (emitted: Emitted<RecordName>) => T,
  ): T[] {
    const step = processor.step(states.get(event.key)?.rows ?? noRows, event);
    const encoded = (step.emit ?? []).map(encode);
    apply(event.key, step);
    return encoded;
  }

  return {
    restore({ key, row, value }) {
      const state = states.get(key) ?? { rows: new Map(), wakeAt: null };
      if (row === timerRow) {
        state.wakeAt = value?.type === "TimerSet" ? value.value.wake_at : null;
        if (state.wakeAt !== null) timers.add({ time: state.wakeAt, key });
      } else if (value === null) state.rows.delete(row);
      else state.rows.set(row, value);
      if (state.rows.size === 0 && state.wakeAt === null) states.delete(key);
      else states.set(key, state);
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

const noRows: ReadonlyMap<string, Tagged> = new Map();

function rowValue(state: KeyState | undefined, row: string): Tagged | null {
  if (state === undefined) return null;
  if (row !== timerRow) return state.rows.get(row) ?? null;
  return state.wakeAt === null ? null : { type: "TimerSet", value: { wake_at: state.wakeAt } };
}

type Timer = { readonly time: number; readonly key: string };

/** Equal times fire in the order of their keys, the same everywhere. */
const earlier = (a: Timer, b: Timer): boolean =>
  a.time < b.time || (a.time === b.time && a.key < b.key);
