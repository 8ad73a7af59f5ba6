import assert from "node:assert/strict";
import { callOf } from "../../processors/traces/fixtures.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { RoleName } from "../roles.ts";
import { freePort, type Stack, startRoleProcess, startStack } from "./stack.ts";

export type Pipeline = {
  readonly stack: Stack;
  /** Asks the gateway's API of the default project; an answer that is an error fails the test. */
  ask<T>(method: "POST" | "PUT", path: string, body: object): Promise<T>;
  /** Starts a rollout whose agent makes one LLM call; returns the path of its attempt. */
  startOne(task: object): Promise<{ readonly rolloutId: string; readonly attempt: string }>;
  close(): Promise<void>;
};

type Started = { readonly rollout_id: string; readonly attempts: { attempt_id: string }[] };

/** A stack with one process of these roles, the gateway among them. */
export async function startPipeline(roles: readonly RoleName[]): Promise<Pipeline> {
  const stack = await startStack();
  const port = await freePort();
  const api = `http://127.0.0.1:${port}/api/v1`;
  const running = startRoleProcess(stack, [...roles], { args: ["--port", String(port)] });
  const close = async (): Promise<void> => {
    await running.stop();
    await stack.close();
  };
  const ask = async <T>(method: string, path: string, body: object): Promise<T> => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(api + path, { method, headers, body: JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path} answered ${answer.status}: ${text}`);
    return JSON.parse(text) as T;
  };
  try {
    await running.ready();
    await stack.context.codec.prepare("spans", ["SpanRecorded"]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    stack,
    ask,
    async startOne(task) {
      const [started] = await ask<Started[]>("POST", "/rollouts", { ...task, start: true });
      assert.ok(started);
      const { rollout_id, attempts } = started;
      const attempt_id = attempts[0]?.attempt_id ?? "";
      const value = callOf("call", 1, 2, { rollout_id, attempt_id });
      const key = keyOf("default", rollout_id);
      await stack.context.append([{ type: "SpanRecorded", value, topic: "spans", key }]);
      return { rolloutId: rollout_id, attempt: `/rollouts/${rollout_id}/attempts/${attempt_id}` };
    },
    close,
  };
}
