import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callOf } from "../../processors/traces/fixtures.ts";
import { keyOf } from "../../schemas/topics.ts";
import { rowsOf } from "../../sinks/clickhouse/client.ts";
import {
  clickHouseOfStack,
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";

let stack: Stack;
let pipeline: RoleProcess;
let api: string;

before(async () => {
  stack = await startStack();
  const port = await freePort();
  api = `http://127.0.0.1:${port}/api/v1`;
  pipeline = startRoleProcess(
    stack,
    ["gateway", "track-rollouts", "assemble-rollouts", "assign-credit", "clickhouse"],
    { args: ["--port", String(port)] },
  );
  await pipeline.ready();
});

after(async () => {
  await pipeline?.stop();
  await stack?.close();
});

async function ask<T>(method: string, path: string, body: object): Promise<T> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(api + path, { method, headers, body: JSON.stringify(body) });
  assert.ok(
    answer.ok,
    `${method} ${path} answered ${answer.status}: ${await answer.clone().text()}`,
  );
  return (await answer.json()) as T;
}

type Row = {
  readonly revision: number;
  readonly reward: number | null;
  readonly advantage: number;
};

/** Waits until ClickHouse has a revision of the rollout; its transitions of that revision. */
async function revised(rolloutId: string, revision: number): Promise<Row[]> {
  const clickhouse = clickHouseOfStack(stack);
  let rows: Row[] = [];
  try {
    await until(
      () => `transitions are ${JSON.stringify(rows)}`,
      30_000,
      async () => {
        rows = await rowsOf<Row>(
          clickhouse,
          `SELECT toInt64(revision) AS revision, reward, advantage FROM latest_transitions
           WHERE rollout_id = {rolloutId:String}`,
          { rolloutId },
        );
        return rows.some((row) => row.revision === revision);
      },
    );
    return rows;
  } finally {
    await clickhouse.close();
  }
}

test("a reward within the grace rewrites the transitions of its rollout, one behind it does not", async () => {
  const credit = { strategy: "final-reward" };
  await ask("PUT", "/settings", { credit, grace_seconds: 4 });
  type Started = { rollout_id: string; attempts: { attempt_id: string }[] };
  const [started] = await ask<Started[]>("POST", "/rollouts", { input: "task", start: true });
  assert.ok(started);
  const rolloutId = started.rollout_id;
  const attemptId = started.attempts[0]?.attempt_id ?? "";
  const value = callOf("call", 1, 2, { rollout_id: rolloutId, attempt_id: attemptId });
  const key = keyOf("default", rolloutId);
  await stack.context.codec.prepare("spans", ["SpanRecorded"]);
  await stack.context.append([{ type: "SpanRecorded", value, topic: "spans", key }]);
  const attempt = `/rollouts/${rolloutId}/attempts/${attemptId}`;
  await ask("POST", `${attempt}/end`, { status: "succeeded" });
  assert.deepEqual(await revised(rolloutId, 0), [{ revision: 0, reward: null, advantage: 0 }]);
  await ask("POST", `${attempt}/rewards`, { value: 0.75 });
  const second = { revision: 1, reward: 0.75, advantage: 0.75 };
  assert.deepEqual(await revised(rolloutId, 1), [second]);
  await new Promise((resolve) => setTimeout(resolve, 4000));
  await ask("POST", `${attempt}/rewards`, { value: 0.25 });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.deepEqual(await revised(rolloutId, 1), [second]);
});
