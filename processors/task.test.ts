import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { packRows, unpackRows } from "../schemas/packed-rows.ts";
import type { RecordName, Tagged } from "../schemas/records.ts";
import { memberOf, stepOf, t0 } from "./fixtures.ts";
import type { Event, Processor } from "./processor.ts";
import { type Change, createTask, type Task } from "./task.ts";

/** Counts what each key was sent, in rows that come and go; a Tick says what was counted. */
const counter: Processor<"StepRecorded", "RolloutAssembled", "RolloutAssembled"> = {
  name: "counter",
  reads: "steps",
  writes: ["transitions"],
  rows: ["RolloutAssembled"],
  step(rows, event) {
    if (event.type === "Tick") {
      // A changelog says nothing of the order of rows.
      const emit = [...rows.values()]
        .sort((a, b) => a.value.steps - b.value.steps)
        .map((row) => ({
          ...row,
          topic: "transitions" as const,
          key: event.key,
        }));
      return { emit, drop: "all" };
    }
    const row = `row ${event.value.step_index}`;
    const before = rows.get(row)?.value.steps ?? 0;
    const value = memberOf(event.key, before + 1, null);
    return {
      put: [[row, { type: "RolloutAssembled", value }]],
      wakeAt: event.at.timestamp + 60_000,
    };
  },
};

const event = (key: string, row: number, offset: number, timestamp: number) =>
  ({
    type: "StepRecorded",
    value: stepOf("ro", row, null),
    key,
    at: { partition: 0, offset, timestamp },
  }) as Event<RecordName>;

const same = <T>(emitted: T): T => emitted;

type Sent = { readonly key: string; readonly row: number; readonly wait: number };

const plain = (value: unknown): unknown[] => JSON.parse(JSON.stringify(value));

/**
 * Sends all of them at their times, commits after every so many, and at the end wakes every key, of
 * the task and of one made from its changelog.
 */
function run(log: readonly Sent[], commitEvery: number) {
  const task = createTask(counter as unknown as Processor);
  const changes: Change[] = [];
  const out: unknown[] = [];
  let now = t0;
  for (const [offset, { key, row, wait }] of log.entries()) {
    now += wait;
    out.push(...task.tick(now, { partition: 0, offset }, same));
    out.push(...task.record(event(key, row, offset, now), same));
    if (offset % commitEvery === 0) changes.push(...task.takeChanges());
  }
  changes.push(...task.takeChanges());
  const again = createTask(counter as unknown as Processor);
  for (const change of changes) again.restore(change);
  const end = (one: Task) => one.tick(now + 3_600_000, { partition: 0, offset: log.length }, same);
  const [last, restored] = [end(task), end(again)];
  assert.deepEqual(plain(restored), plain(last));
  assert.equal(task.keys, 0);
  return [...out, ...last] as { readonly value: { readonly steps: number } }[];
}

test("a key that rested goes on where it was, whatever was committed meanwhile", () => {
  const record = fc.record({
    key: fc.constantFrom("a", "b", "c"),
    row: fc.nat(6),
    wait: fc.constantFrom(0, 10, 4000, 11_000, 30_000),
  });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), (log, n) => {
      const counted = run(log, n).reduce((sum, { value }) => sum + value.steps, 0);
      assert.equal(counted, log.length);
    }),
    { numRuns: 300 },
  );
});

test("packed rows are the rows, in their order", () => {
  const rows: [string, Tagged][] = [
    ["a\u0000ö", { type: "StepRecorded", value: stepOf("ro", 7, 0.5) }],
    ["", { type: "RolloutAssembled", value: memberOf("ro", 2, 0.5) }],
    ["timer", { type: "TimerSet", value: { wake_at: 2 ** 52 } }],
  ];
  assert.deepEqual(plain(unpackRows(packRows(rows))), plain(rows));
  assert.deepEqual(unpackRows(packRows([])), []);
});

test("a finished key is remembered in less than half a kilobyte", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const task = createTask(counter as unknown as Processor);
  const keys = 4000;
  const before = heap();
  for (let i = 0; i < keys; i++) task.record(event(`key ${i}`, 0, i, t0), same);
  task.takeChanges();
  for (let i = 0; i < 4; i++) task.record(event("last", 0, keys + i, t0 + i * 10_000), same);
  const each = (heap() - before) / keys;
  assert.equal(task.keys, keys + 1);
  assert.ok(each < 500, `${Math.round(each)} bytes a key`);
});
