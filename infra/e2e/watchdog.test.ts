import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, enqueueOf } from "../../processors/fixtures.ts";
import type { Produced } from "../../producers/producer.ts";
import type { Request } from "../../schemas/requests.ts";
import { keyOf } from "../../schemas/topics.ts";
import { type RoleProcess, type Stack, startRoleProcess, startStack, until } from "./stack.ts";
import { recordsOf } from "./verify.ts";

let stack: Stack;
let tracking: RoleProcess;

before(async () => {
  stack = await startStack();
  tracking = startRoleProcess(stack, ["track-rollouts"]);
  await tracking.ready();
  await stack.context.codec.prepare("requests", ["EnqueueRequested", "ClaimRequested"]);
});

after(async () => {
  await tracking?.stop();
  await stack?.close();
});

function produced(request: Request): Produced {
  const { project, rollout_id } = request.value;
  return { ...request, topic: "requests", key: keyOf(project, rollout_id) };
}

/** Late by up to two short polls and a commit, on a machine that does other things. */
const mostLateMs = 250;

test("limits are noticed at once, also when nothing else happens on the log", async () => {
  const limits = [
    { timeout_seconds: 0.7 },
    { unresponsive_seconds: 1.1 },
    { claim_seconds: 1.6 },
    { timeout_seconds: 2.3 },
    { unresponsive_seconds: 2.9 },
  ];
  const requests = limits.flatMap((config, i) => [
    enqueueOf(`ro-${i}`, { config }),
    ask("ClaimRequested", `ro-${i}`, `claim ${i}`),
  ]);
  await stack.context.append(requests.map(produced));
  // Asking the log would wake its readers, so nobody looks before the last limit.
  await sleep(4000);
  const lateness: number[] = [];
  await until(
    () => `${lateness.length} of ${limits.length} limits were noticed`,
    5000,
    async () => {
      lateness.length = 0;
      for (const { record, timestamp } of await recordsOf(stack, "requests")) {
        if (record?.type !== "TimeoutRequested") continue;
        lateness.push(timestamp - record.value.deadline / 1000);
      }
      return lateness.length === limits.length;
    },
  );
  // The median: one pause of a busy machine says nothing of the polls.
  const [, , median = 0] = lateness.toSorted((a, b) => a - b);
  assert.ok(median <= mostLateMs, `late by ${lateness.map(Math.round).join(", ")} ms`);
  assert.ok(lateness.every((ms) => ms >= 0));
});
