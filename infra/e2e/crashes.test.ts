import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { topics } from "../../schemas/topics.ts";
import type { FaultPoint } from "../faults.ts";
import type { RoleName } from "../roles.ts";
import { appendLoad, type Load, makeLoad, seeded } from "./load.ts";
import {
  migrateWithoutMerges,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import { verifyRun } from "./verify.ts";

const processors: RoleName[] = ["track-rollouts", "assemble-rollouts", "assign-credit"];
/** Printed with every failure; put it here to repeat a run. */
const seed = Math.floor(Math.random() * 2 ** 31);
const perPoint = 250;

let stack: Stack;

before(async () => {
  stack = await startStack();
  await migrateWithoutMerges(stack);
  await stack.context.codec.prepare("requests", topics.requests.records);
  await stack.context.codec.prepare("spans", topics.spans.records);
});

after(() => stack?.close());

/** Steps at which the folds can die; the sink has others than the processors. */
const points: { point: FaultPoint; roles: RoleName[] }[] = [
  ...(["before-send", "sent", "changelog-sent", "offsets-added", "committed"] as const).map(
    (point) => ({ point, roles: processors }),
  ),
  ...(["intent-committed", "insert-sent", "insert-acked"] as const).map((point) => ({
    point,
    roles: ["clickhouse" as const],
  })),
];

test("kill -9 at every named step, 2,000 rollouts with duplicates and shuffled spans: none lost, none twice", async () => {
  const random = seeded(seed);
  const loads: Load[] = [];
  const others = (roles: readonly RoleName[]): RoleName[] =>
    [...processors, "clickhouse" as const].filter((role) => !roles.includes(role));
  for (const { point, roles } of points) {
    const fault = `${point}:${1 + Math.floor(random() * 6)}`;
    const victims: RoleProcess[] = [
      startRoleProcess(stack, roles, { fault }),
      startRoleProcess(stack, others(roles)),
    ];
    const load = makeLoad(point, perPoint, random);
    loads.push(load);
    await appendLoad(stack.context.append, load, random);
    const [victim] = victims;
    await until(
      () => `nobody died at ${fault} (seed ${seed})`,
      60_000,
      async () => (victim?.deaths ?? 0) > 0,
    );
    // The heir works on while the next point begins with fresh processes.
    await victim?.ready();
    await Promise.all(victims.map((one) => one.stop()));
    assert.equal(victim?.deaths, 1, `deaths at ${fault}`);
  }
  const finishers = startRoleProcess(stack, [...processors, "clickhouse"]);
  try {
    await verifyRun(stack, loads, 120_000);
  } finally {
    await finishers.stop();
  }
});
