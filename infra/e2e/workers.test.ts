import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enqueueOf } from "../../processors/fixtures.ts";
import { limitAhead, roomLimit, timeOutRequest } from "../../processors/lifecycle/time-out.ts";
import { decide } from "../../processors/rollout-lifecycle.ts";
import { type Context, createContext } from "../context.ts";
import { foldRequests, type RequestFold } from "../gateway/fold-requests.ts";
import { type FoldedWorkers, foldWorkers } from "../gateway/fold-workers.ts";
import { type RoleProcess, type Stack, startRoleProcess, startStack, until } from "./stack.ts";
import { recordsOf } from "./verify.ts";

type Folds = {
  readonly context: Context;
  readonly workers: FoldedWorkers;
  readonly rollouts: RequestFold;
  close(): Promise<void>;
};

let stack: Stack;
let tracking: RoleProcess;
let a: Folds;
let b: Folds;

before(async () => {
  stack = await startStack();
  tracking = startRoleProcess(stack, ["track-rollouts"]);
  await tracking.ready();
  a = await openFolds("a");
  b = await openFolds("b");
});

after(async () => {
  await a?.close();
  await b?.close();
  await tracking?.stop();
  await stack?.close();
});

/** The folds of a gateway, as it opens them. */
async function openFolds(name: string): Promise<Folds> {
  const context = createContext(stack.values, name);
  const fail = (error: Error): void => assert.fail(error);
  const workers = await foldWorkers(context, context.append, fail);
  const lifecycle = { decide, limitAhead, roomLimit, timeOutRequest };
  const rollouts = await foldRequests(context, context.append, lifecycle, fail, {
    observer: workers,
  });
  return {
    context,
    workers,
    rollouts,
    async close() {
      await workers.close();
      await rollouts.close();
      await context.close();
    },
  };
}

async function seenBy(folds: Folds, workerId: string) {
  await folds.rollouts.caughtUp();
  await folds.workers.caughtUp();
  return folds.workers.get("default", workerId);
}

async function claim(folds: Folds, workerId: string, limit = 1) {
  return folds.rollouts.claim("default", { workerId, limit, requestId: "" });
}

test("what a worker does at one gateway the other knows as soon as it asks", async () => {
  await a.rollouts.submit([enqueueOf("ro-1")]);
  const [claimed] = await claim(a, "w1");
  assert.equal(claimed?.rollout_id, "ro-1");
  const busy = await seenBy(b, "w1");
  assert.deepEqual([busy?.status, busy?.rolloutId], ["busy", "ro-1"]);
  assert.equal(busy?.lastDequeueAt, busy?.lastBusyAt);
  await a.workers.heartbeat("default", "w1", '{"gpu": 1.0}');
  const beaten = await seenBy(b, "w1");
  assert.equal(beaten?.heartbeatStats, '{"gpu": 1.0}');
  assert.deepEqual({ ...beaten, lastHeartbeatAt: null, heartbeatStats: null }, busy);
});

test("asking in vain makes a worker idle everywhere, and it is written at most once a second", async () => {
  await a.workers.dequeued("default", "w2", false);
  const idle = await seenBy(b, "w2");
  assert.equal(idle?.status, "idle");
  const asked = 200;
  for (let i = 0; i < asked; i++) await a.workers.dequeued("default", "w2", false);
  await until(
    () => "the last asking is not known at the other gateway",
    4000,
    async () =>
      (await seenBy(b, "w2"))?.lastDequeueAt === a.workers.get("default", "w2")?.lastDequeueAt,
  );
  const records = (await recordsOf(stack, "workers")).filter(({ key }) => key === "default/w2");
  assert.ok(records.length <= 6, `${records.length} snapshots of ${asked} askings`);
  assert.equal(b.workers.get("default", "w2")?.lastIdleAt, idle?.lastIdleAt);
});

test("what both gateways wrote at one time is whole on the topic's last record", async () => {
  await Promise.all([
    a.workers.heartbeat("default", "w3", '{"from":"a"}'),
    b.workers.dequeued("default", "w3", false),
  ]);
  await until(
    () => "the last snapshot lacks something",
    5000,
    async () => {
      const records = await recordsOf(stack, "workers");
      const last = records.findLast(({ key }) => key === "default/w3")?.record;
      if (last?.type !== "WorkerChanged") return false;
      return last.value.heartbeat_stats !== null && last.value.last_dequeue_at !== null;
    },
  );
});

test("a gateway that starts later knows the same workers", async () => {
  await a.rollouts.submit([enqueueOf("ro-2"), enqueueOf("ro-3")]);
  await claim(b, "w4");
  await a.rollouts.submit(Array.from({ length: 20 }, (_, i) => enqueueOf(`many-${i}`)));
  const taken = await claim(a, "w5", 30);
  const ids = taken.map(({ rollout_id }) => rollout_id);
  assert.deepEqual(ids, ["ro-3", ...Array.from({ length: 20 }, (_, i) => `many-${i}`)]);
  assert.equal((await seenBy(a, "w5"))?.rolloutId, "many-19");
  const names = ["w1", "w2", "w3", "w4", "w5"];
  const known = await Promise.all(names.map((name) => seenBy(a, name)));
  assert.ok(known.every((worker) => worker !== undefined));
  const late = await openFolds("late");
  try {
    // What the requests say is derived at once, what a snapshot adds follows within two seconds.
    for (const [i, name] of names.entries()) {
      const seen = await seenBy(late, name);
      assert.equal(seen?.status, known[i]?.status, name);
      await until(
        () => `${name} differs: ${JSON.stringify([known[i], late.workers.get("default", name)])}`,
        4000,
        async () => JSON.stringify(await seenBy(late, name)) === JSON.stringify(known[i]),
      );
    }
  } finally {
    await late.close();
  }
});
