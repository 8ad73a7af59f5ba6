import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "../../schemas/errors.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { rolloutChanged } from "../../sinks/clickhouse/test-records/rollouts.ts";
import { createOpenTransactions } from "../kafka/open-transactions.ts";
import { createWatermark } from "../watermark.ts";
import { coalesce } from "./coalesce.ts";
import { createDeadlineQueue } from "./deadline-queue.ts";
import { shareNext } from "./log-ends.ts";
import { createRolloutTable } from "./rollout-table.ts";

test("a deadline queue says at any time what a look at all deadlines would", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c", "d"),
    at: fc.option(fc.nat({ max: 50 })),
    ask: fc.boolean(),
    by: fc.nat({ max: 10 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const deadlines = new Map<string, number>();
      const queue = createDeadlineQueue((key) => deadlines.get(key) ?? null);
      let now = 0;
      for (const { key, at, ask, by } of steps) {
        if (at === null) deadlines.delete(key);
        else deadlines.set(key, at);
        queue.note(key, at);
        now += by;
        if (!ask) continue;
        const expected = [...deadlines].filter(([, time]) => time < now).map(([name]) => name);
        assert.deepEqual(queue.due(now).sort(), expected.sort());
      }
    }),
  );
});

test("a deadline queue holds little more than there are deadlines", () => {
  const deadlines = new Map<string, number>();
  const queue = createDeadlineQueue((key) => deadlines.get(key) ?? null);
  for (let i = 0; i < 50_000; i++) {
    deadlines.set(`k${i}`, 1e9 - i);
    queue.note(`k${i}`, 1e9 - i);
    // The rollout ends long before its limit.
    deadlines.delete(`k${i}`);
  }
  assert.ok(queue.size <= 2048, `${queue.size} entries`);
});

test("a watermark wakes those it has passed, and tells the others how far it got", async () => {
  const mark = createWatermark(3);
  await mark.reached(3, 0, "spans/0");
  const soon = mark.reached(5, Date.now() + 5000, "spans/0");
  const late = mark.reached(9, Date.now() + 20, "spans/0");
  mark.advance(6);
  mark.advance(4);
  await soon;
  assert.equal(mark.at, 6);
  await assert.rejects(late, (error) => {
    assert.equal(codeOf(error), "deadline-passed");
    assert.match(String(error), /spans\/0 was read up to offset 6, 9 is asked for/);
    return true;
  });
});

test("who asks for the end of the log never gets an answer older than the question", async () => {
  let end = 0;
  let requests = 0;
  const ask = shareNext(async () => {
    requests += 1;
    const answer = end;
    await new Promise((resolve) => setTimeout(resolve, 1));
    return answer;
  });
  const asked: Promise<void>[] = [];
  for (let i = 0; i < 200; i++) {
    end += 1;
    const before = end;
    asked.push(ask().then((answer) => assert.ok(answer >= before, `${answer} < ${before}`)));
    if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(asked);
  assert.ok(requests < 40, `${requests} requests`);
});

test("a question that fails is asked again for whoever comes later", async () => {
  let fail = true;
  const ask = shareNext(async () => {
    if (fail) throw new Error("away");
    return 1;
  });
  await assert.rejects(ask(), /away/);
  fail = false;
  assert.equal(await ask(), 1);
});

test("point questions that come together share queries, each gets its own answer", async () => {
  const queries: number[] = [];
  const square = coalesce(
    (n: number) => String(n % 2),
    async (many) => {
      assert.equal(new Set(many.map((n) => n % 2)).size, 1, "groups were mixed");
      queries.push(many.length);
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (many.includes(13)) throw new Error("unlucky");
      return many.map((n) => n * n);
    },
    { most: 10, atOnce: 2 },
  );
  const numbers = Array.from({ length: 100 }, (_, i) => i + 100);
  assert.deepEqual(
    await Promise.all(numbers.map(square)),
    numbers.map((n) => n * n),
  );
  assert.ok(queries.length <= 12 && Math.max(...queries) <= 10, queries.join());
  await assert.rejects(square(13), /unlucky/);
  assert.equal(await square(4), 16);
});

function rollout(id: string, enqueuedAt: number, limitAt: number | null): RolloutChanged {
  const { value } = rolloutChanged({ rollout_id: id, enqueued_at: enqueuedAt });
  return { ...value, queued_at: limitAt ?? 0 };
}

test("the rollouts of a project are listed as they were enqueued, and due when a limit passed", () => {
  const table = createRolloutTable(({ queued_at }) => (queued_at === 0 ? null : queued_at));
  const put = (one: RolloutChanged): void => table.set(`default/${one.rollout_id}`, "default", one);
  const ids = (some: readonly RolloutChanged[]): string => some.map((r) => r.rollout_id).join("");
  put(rollout("c", 5, null));
  put(rollout("b", 9, 100));
  put(rollout("d", 5, 50));
  put(rollout("a", 7, 70));
  assert.equal(ids(table.list("default")), "cdab");
  assert.deepEqual(table.list("other"), []);
  assert.equal(ids(table.due("default", 71)), "da");
  put(rollout("a", 7, 200));
  table.set("default/d", "default", undefined);
  assert.equal(ids(table.list("default")), "cab");
  assert.equal(ids(table.due("default", 101)), "b");
  assert.equal(table.get("default/a")?.queued_at, 200);
  assert.equal(table.get("default/d"), undefined);
});

type Written = { readonly offset: number; readonly producerId: string | null };

test("records of transactions count from their commit on, in order, the others at once", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("plain" as const) }),
    fc.record({ kind: fc.constantFrom("write", "commit", "abort"), by: fc.constantFrom("1", "2") }),
  );
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 60 }),
      fc.array(fc.nat({ max: 60 }), { maxLength: 8 }),
      (log, cuts) => {
        const transactions = createOpenTransactions<Written>();
        const seen: number[] = [];
        const expected: number[] = [];
        const open = new Map<string, number[]>();
        const bounds = [...new Set([0, ...cuts, log.length])].sort((a, b) => a - b);
        for (const [offset, one] of log.entries()) {
          if (!("by" in one)) expected.push(offset);
          else if (one.kind === "write") open.set(one.by, [...(open.get(one.by) ?? []), offset]);
          else {
            if (one.kind === "commit") expected.push(...(open.get(one.by) ?? []));
            open.delete(one.by);
          }
        }
        for (const [i, from] of bounds.entries()) {
          const part = [...log.entries()].slice(from, bounds[i + 1] ?? from);
          const records = part.flatMap(([offset, one]): Written[] =>
            "by" in one
              ? one.kind === "write"
                ? [{ offset, producerId: one.by }]
                : []
              : [{ offset, producerId: null }],
          );
          const markers = part.flatMap(([offset, one]) =>
            "by" in one && one.kind !== "write"
              ? [{ offset, producerId: one.by, committed: one.kind === "commit" }]
              : [],
          );
          seen.push(...transactions.take(records, markers).map(({ offset }) => offset));
        }
        assert.deepEqual(seen, expected);
        const held = [...open.values()].reduce((sum, all) => sum + all.length, 0);
        assert.equal(transactions.held, held);
      },
    ),
  );
});
