import { createHeap } from "../../processors/heap.ts";

type Entry = { readonly at: number; readonly key: string };

/**
 * When which key is due. Deadlines move away far more often than they pass (every sign of life moves
 * one), so an entry stays where it is and is looked at again when its time has come.
 */
export type DeadlineQueue = {
  /** Tells of a key's deadline; null: it has none now. */
  note(key: string, at: number | null): void;
  /** Keys whose deadline lies before `now`, the earliest first; they stay due until it moves. */
  due(now: number): string[];
  /** Entries held, for tests: at most twice the keys that have a deadline, and some. */
  readonly size: number;
};

const smallest = 1024;

const earlier = (a: Entry, b: Entry): boolean => a.at < b.at;

/** @param deadlineOf the deadline of a key as it stands; null: none. */
export function createDeadlineQueue(deadlineOf: (key: string) => number | null): DeadlineQueue {
  let heap = createHeap(earlier);
  /** Key → the time of the entry that counts; an earlier one is added when a deadline comes closer. */
  const scheduled = new Map<string, number>();
  let sweepAt = smallest;

  function add(key: string, at: number): void {
    scheduled.set(key, at);
    heap.add({ at, key });
  }

  /** Drops entries whose key has no deadline any more, when they may be the greater part. */
  function sweep(): void {
    if (heap.size < sweepAt) return;
    heap = createHeap(earlier);
    for (const key of [...scheduled.keys()]) {
      scheduled.delete(key);
      const at = deadlineOf(key);
      if (at !== null) add(key, at);
    }
    sweepAt = Math.max(smallest, 2 * heap.size);
  }

  return {
    note(key, at) {
      if (at === null || at >= (scheduled.get(key) ?? Number.POSITIVE_INFINITY)) return;
      add(key, at);
      sweep();
    },
    due(now) {
      const passed: Entry[] = [];
      for (let head = heap.head; head !== undefined && head.at < now; head = heap.head) {
        heap.remove();
        if (scheduled.get(head.key) !== head.at) continue;
        scheduled.delete(head.key);
        const at = deadlineOf(head.key);
        if (at === null) continue;
        if (at < now) passed.push({ at, key: head.key });
        else add(head.key, at);
      }
      for (const { key, at } of passed) add(key, at);
      return passed.map(({ key }) => key);
    },
    get size() {
      return heap.size;
    },
  };
}
