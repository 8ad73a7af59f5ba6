import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callOf } from "../../processors/traces/fixtures.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { CreditRequested, TransitionRecorded } from "../../schemas/types.ts";
import { tailPartition } from "../fold-partition.ts";
import {
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import { recordsOf } from "./verify.ts";

let stack: Stack;
let pipeline: RoleProcess;
let api: string;

before(async () => {
  stack = await startStack();
  const port = await freePort();
  api = `http://127.0.0.1:${port}/api/v1`;
  pipeline = startRoleProcess(
    stack,
    ["gateway", "track-rollouts", "assemble-rollouts", "assign-credit"],
    { args: ["--port", String(port)] },
  );
  await pipeline.ready();
  const options = { fallback: "leave-one-out" };
  const credit = { strategy: "external", parameters: { deadline_seconds: 5 }, options };
  await ask("PUT", "/settings", { credit });
});

after(async () => {
  await pipeline?.stop();
  await stack?.close();
});

async function ask<T>(method: string, path: string, body: object): Promise<T> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(api + path, { method, headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path} answered ${answer.status}`);
  return (await answer.json()) as T;
}

type Started = { rollout_id: string; attempts: { attempt_id: string }[] };

/** A rollout of one call and one reward, ended. */
async function runOne(group: string, reward: number): Promise<void> {
  const task = { input: "task", start: true, group_id: group, group_size: 2 };
  const [started] = await ask<Started[]>("POST", "/rollouts", task);
  assert.ok(started);
  const { rollout_id, attempts } = started;
  const attempt_id = attempts[0]?.attempt_id ?? "";
  const value = callOf("call", 1, 2, { rollout_id, attempt_id });
  const key = keyOf("default", rollout_id);
  await stack.context.codec.prepare("spans", ["SpanRecorded"]);
  await stack.context.append([{ type: "SpanRecorded", value, topic: "spans", key }]);
  const attempt = `/rollouts/${rollout_id}/attempts/${attempt_id}`;
  await ask("POST", `${attempt}/rewards`, { value: reward });
  await ask("POST", `${attempt}/end`, { status: "succeeded" });
}

/** Somebody's processor: credits every step with ten times the reward of its rollout. */
function answering(groups: ReadonlySet<string>): () => Promise<void> {
  const { client, codec, append } = stack.context;
  const answer = ({ project, group_id, revision, members }: CreditRequested): Promise<unknown> =>
    append([
      {
        type: "CreditAssigned",
        topic: "steps",
        key: keyOf(project, group_id),
        value: {
          project,
          group_id,
          revision,
          members: members.map(({ rollout_id, reward, steps }) => ({
            rollout_id,
            advantages: steps.map(() => 10 * (reward ?? 0)),
            returns: [],
          })),
        },
      },
    ]);
  const tails = Array.from({ length: Number(stack.values.LIGHTNING_PARTITIONS) }, (_, partition) =>
    tailPartition(
      client,
      codec,
      { topic: "credit-requests", partition, from: 0 },
      ({ record }) => {
        if (record?.type === "CreditRequested" && groups.has(record.value.group_id)) {
          void answer(record.value);
        }
      },
      assert.fail,
    ),
  );
  return async () => {
    await Promise.all(tails.map((tail) => tail.close()));
  };
}

async function credited(group: string): Promise<readonly TransitionRecorded[]> {
  let rows: TransitionRecorded[] = [];
  await until(
    () => `${rows.length} transitions of ${group}`,
    20_000,
    async () => {
      rows = (await recordsOf(stack, "transitions")).flatMap(({ record }) =>
        record?.type === "TransitionRecorded" && record.value.group_id === group
          ? [record.value]
          : [],
      );
      return rows.length === 2;
    },
  );
  return rows.toSorted((a, b) => (a.rollout_reward ?? 0) - (b.rollout_reward ?? 0));
}

test("a processor of somebody else's credits a group through the log, the fallback one it leaves", async () => {
  await stack.context.codec.prepare("credit-requests", ["CreditRequested"]);
  await stack.context.codec.prepare("steps", ["CreditAssigned"]);
  const close = answering(new Set(["answered"]));
  try {
    for (const group of ["answered", "left"]) {
      await runOne(group, 0.25);
      await runOne(group, 0.75);
    }
    const answered = await credited("answered");
    assert.deepEqual(
      answered.map(({ advantage, credit }) => [advantage, credit.options.used]),
      [
        [2.5, "external"],
        [7.5, "external"],
      ],
    );
    const left = await credited("left");
    assert.deepEqual(
      left.map(({ advantage, credit }) => [advantage, credit.options.used]),
      [
        [-0.5, "fallback"],
        [0.5, "fallback"],
      ],
    );
  } finally {
    await close();
  }
});
