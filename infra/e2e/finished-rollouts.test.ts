import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, enqueueOf } from "../../processors/fixtures.ts";
import { limitAhead, roomLimit, timeOutRequest } from "../../processors/lifecycle/time-out.ts";
import { decide } from "../../processors/rollout-lifecycle.ts";
import { type Context, createContext } from "../context.ts";
import { foldRequests, type RequestFold } from "../gateway/fold-requests.ts";
import { type RoleProcess, type Stack, startRoleProcess, startStack, until } from "./stack.ts";
import { recordsOf } from "./verify.ts";

const most = 10;
const rollouts = 60;

let stack: Stack;
let tracking: RoleProcess;
let contexts: Context[];
let folds: RequestFold[];

before(async () => {
  stack = await startStack();
  tracking = startRoleProcess(stack, ["track-rollouts"]);
  await tracking.ready();
  contexts = ["a", "b"].map((name) => createContext(stack.values, name));
  const lifecycle = { decide, limitAhead, roomLimit, timeOutRequest };
  const fail = (error: Error): void => assert.fail(error);
  folds = await Promise.all(
    contexts.map((context) =>
      foldRequests(context, context.append, lifecycle, fail, { mostFinished: most }),
    ),
  );
});

after(async () => {
  for (const fold of folds ?? []) await fold.close();
  for (const context of contexts ?? []) await context.close();
  await tracking?.stop();
  await stack?.close();
});

test("a gateway holds no more finished rollouts than it may, and every gateway the same ones", async () => {
  const [a, b] = folds;
  assert.ok(a !== undefined && b !== undefined);
  const ids = Array.from({ length: rollouts }, (_, i) => `ro-${String(i).padStart(2, "0")}`);
  await a.submit([enqueueOf("under-way")]);
  for (const id of ids) {
    await a.submit([enqueueOf(id)]);
    await b.submit([ask("CancelRequested", id, `cancel ${id}`)]);
  }
  const held = (fold: RequestFold): string[] =>
    fold.list("default").map((rollout) => rollout.rollout_id);
  await until(
    () => `${held(a).length} and ${held(b).length} rollouts are held`,
    10_000,
    async () => held(a).length === most + 1 && held(b).length === most + 1,
  );
  assert.deepEqual(held(a), ["under-way", ...ids.slice(-most)]);
  assert.deepEqual(held(b), held(a));
  await until(
    () => "the facts of those that went are still there",
    10_000,
    async () => {
      const last = new Map(
        (await recordsOf(stack, "rollouts")).map(({ key, record }) => [key, record]),
      );
      return ids.slice(0, -most).every((id) => last.get(`default/${id}`) === null);
    },
  );
});
