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

/** @param deadlineOf the deadline of a key as it stands; null: none. */
export function createDeadlineQueue(deadlineOf: (key: string) => number | null): DeadlineQueue {
  let heap: Entry[] = [];
  /** Key → the time of the entry that counts; an earlier one is added when a deadline comes closer. */
  const scheduled = new Map<string, number>();
  let sweepAt = smallest;

  function add(key: string, at: number): void {
    scheduled.set(key, at);
    push(heap, { at, key });
  }

  /** Drops entries whose key has no deadline any more, when they may be the greater part. */
  function sweep(): void {
    if (heap.length < sweepAt) return;
    heap = [];
    for (const key of [...scheduled.keys()]) {
      scheduled.delete(key);
      const at = deadlineOf(key);
      if (at !== null) add(key, at);
    }
    sweepAt = Math.max(smallest, 2 * heap.length);
  }

  return {
    note(key, at) {
      if (at === null || at >= (scheduled.get(key) ?? Number.POSITIVE_INFINITY)) return;
      add(key, at);
      sweep();
    },
    due(now) {
      const passed: Entry[] = [];
      for (let head = heap[0]; head !== undefined && head.at < now; head = heap[0]) {
        pop(heap);
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
      return heap.length;
    },
  };
}

function push(heap: Entry[], entry: Entry): void {
  let i = heap.length;
  heap.push(entry);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || above.at <= entry.at) break;
    heap[i] = above;
    i = parent;
  }
  heap[i] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let i = 0;
  for (;;) {
    let least = 2 * i + 1;
    const right = heap[least + 1];
    let child = heap[least];
    if (child !== undefined && right !== undefined && right.at < child.at) {
      child = right;
      least += 1;
    }
    if (child === undefined || child.at >= last.at) break;
    heap[i] = child;
    i = least;
  }
  heap[i] = last;
}
