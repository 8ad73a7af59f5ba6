import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../../schemas/topics.ts";
import type { RoleName } from "../roles.ts";
import { appendLoad, type Load, makeLoad, seeded } from "./load.ts";
import {
  migrateWithoutMerges,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
} from "./stack.ts";
import { verifyRun } from "./verify.ts";

const folds: RoleName[] = ["track-rollouts", "assemble-rollouts", "assign-credit", "clickhouse"];
const seed = Math.floor(Math.random() * 2 ** 31);
const withinMs = 120_000;

let stack: Stack;
const random = seeded(seed);
/** Everything appended so far: each test verifies all of it again. */
const loads: Load[] = [];

before(async () => {
  stack = await startStack({ LIGHTNING_PARTITIONS: "4" });
  await migrateWithoutMerges(stack);
  await stack.context.codec.prepare("requests", topics.requests.records);
  await stack.context.codec.prepare("spans", topics.spans.records);
});

after(() => stack?.close());

/** Appends loads one after the other until `disturb` is through. */
async function underLoad(name: string, disturb: () => Promise<void>): Promise<void> {
  let disturbing = true;
  const disturbed = disturb().finally(() => {
    disturbing = false;
  });
  for (let i = 0; i < 3 || (disturbing && i < 40); i++) {
    const load = makeLoad(`${name}-${i}`, 40, random);
    loads.push(load);
    await appendLoad(stack.context.append, load, random);
    await sleep(200);
  }
  await disturbed;
}

async function withProcesses(
  count: number,
  work: (processes: RoleProcess[]) => Promise<void>,
): Promise<void> {
  const processes = Array.from({ length: count }, () => startRoleProcess(stack, folds));
  await Promise.all(processes.map((one) => one.ready()));
  try {
    await work(processes);
    await verifyRun(stack, loads, withinMs);
  } finally {
    await Promise.all(processes.map((one) => one.stop()));
  }
}

test("instances that join and leave under load change nothing", async () => {
  await withProcesses(1, (processes) =>
    underLoad("rebalance", async () => {
      const second = startRoleProcess(stack, folds);
      await second.ready();
      await sleep(3000);
      await processes[0]?.stop();
      const third = startRoleProcess(stack, folds);
      await third.ready();
      await sleep(2000);
      await second.stop();
      processes.push(third);
    }),
  );
});

test("an instance that wakes up after another took its partitions over writes nothing", async () => {
  await withProcesses(2, (processes) =>
    underLoad("zombie", async () => {
      processes[0]?.signal("SIGSTOP");
      // Longer than the session: the other one owns everything by now.
      await sleep(8000);
      processes[0]?.signal("SIGCONT");
      await sleep(3000);
      assert.equal(processes[0]?.deaths, 0, "the woken instance goes on");
    }),
  );
});

test("a broker killed and started again loses nothing and stops nobody for good", async () => {
  await withProcesses(1, (processes) =>
    underLoad("broker", async () => {
      await sleep(1000);
      await stack.restartKafka();
      await sleep(1000);
      assert.equal(processes[0]?.deaths, 0, "the folds live through it");
    }),
  );
});

test("ClickHouse away for a while stops no ingestion and loses nothing", async () => {
  await withProcesses(1, () =>
    underLoad("clickhouse", async () => {
      await stack.stopClickHouse();
      await sleep(10_000);
      await stack.startClickHouse();
    }),
  );
});
