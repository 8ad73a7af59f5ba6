import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { codeOf, LightningError } from "../../schemas/errors.ts";
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
let processes: RoleProcess[] = [];
let gateways: RoleProcess[];
let urls: string[];

before(async () => {
  stack = await startStack({ LIGHTNING_CLAIM_SECONDS: "4" });
  const ports = [await freePort(), await freePort()];
  urls = ports.map((port) => `http://127.0.0.1:${port}/v1/agl`);
  gateways = ports.map((port) =>
    startRoleProcess(stack, ["gateway"], { args: ["--port", String(port)] }),
  );
  processes = [startRoleProcess(stack, ["track-rollouts", "clickhouse"]), ...gateways];
  await Promise.all(processes.map((one) => one.ready()));
});

after(async () => {
  await Promise.all(processes.map((one) => one.stop()));
  await stack?.close();
});

type Claimed = { readonly rollout_id: string; readonly attempt: { readonly attempt_id: string } };

/** Posts to one of the gateways; throws `gateway-unavailable` when it has died. */
async function post<T>(gateway: number, path: string, body: unknown): Promise<T> {
  const url = `${urls[gateway % urls.length]}${path}`;
  const init = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  const unavailable = (cause: unknown) =>
    new LightningError("gateway-unavailable", "no answer", { cause });
  const response = await fetch(url, init).catch((cause) => {
    throw unavailable(cause);
  });
  const answer = (await response.json().catch((cause) => {
    throw unavailable(cause);
  })) as T;
  if (response.status === 503) throw unavailable(answer);
  assert.ok(response.ok, `${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

const enqueue = async (gateway: number, tasks: readonly unknown[]): Promise<string[]> => {
  const rollouts = tasks.map((input) => ({ input }));
  const answer = await post<Claimed[]>(gateway, "/queues/rollouts/enqueue", { rollouts });
  return answer.map(({ rollout_id }) => rollout_id);
};

const dequeue = (gateway: number, worker_id: string, limit = 1): Promise<Claimed[]> =>
  post<Claimed[]>(gateway, "/queues/rollouts/dequeue", { limit, worker_id });

const acknowledged = { enqueued: [] as string[], ended: [] as string[] };
const claimed: string[] = [];
const numbers = new Map<string, number[]>();

/** One rollout from the queue: numbers for its spans, then its end. */
async function work(gateway: number, worker: string): Promise<number> {
  const taken = await dequeue(gateway, worker, 2);
  for (const { rollout_id, attempt } of taken) {
    claimed.push(`${rollout_id} ${attempt.attempt_id}`);
    const ids = { rollout_id, attempt_id: attempt.attempt_id };
    const given = numbers.get(rollout_id) ?? [];
    numbers.set(rollout_id, given);
    // Two at once, at different gateways.
    await Promise.all(
      [0, 1, 0].map(async (other) => {
        const answer = await post<{ sequence_id: number }>(gateway + other, "/spans/next", ids);
        given.push(answer.sequence_id);
      }),
    );
    const path = `/rollouts/${rollout_id}/attempts/${attempt.attempt_id}`;
    await post(gateway, path, { status: "succeeded" });
    acknowledged.ended.push(rollout_id);
  }
  return taken.length;
}

test("kill -9 of a gateway under load: no acknowledged write lost, no attempt or number twice", async () => {
  let broken = 0;
  let end = Date.now() + 30_000;
  const client = async (n: number): Promise<void> => {
    for (let i = 0; Date.now() < end; i++) {
      try {
        if (n % 4 === 0)
          acknowledged.enqueued.push(
            ...(await enqueue(n, [
              { n, i },
              { n, i },
            ])),
          );
        else await work(n, `w${n}`);
      } catch (error) {
        if (codeOf(error) !== "gateway-unavailable") throw error;
        broken += 1;
        await gateways[n % 2]?.ready();
      }
    }
  };
  const clients = Array.from({ length: 16 }, (_, n) => client(n));
  await until(
    () => "nothing was ended",
    20_000,
    async () => acknowledged.ended.length > 50,
  );
  gateways[1]?.signal("SIGKILL");
  // Long enough that some ask the dead one.
  end = Date.now() + 4000;
  await Promise.all(clients);
  assert.equal(gateways[1]?.deaths, 1);
  assert.ok(broken > 0, "the kill disturbed nobody");
  assert.equal(new Set(claimed).size, claimed.length, "an attempt was handed out twice");
  for (const [rollout, given] of numbers) {
    assert.equal(new Set(given).size, given.length, `a number of ${rollout} came twice: ${given}`);
  }
});

test("what a dead gateway had claimed comes back, and all that was acknowledged is done once", async () => {
  await until(
    () => `${acknowledged.ended.length} of ${acknowledged.enqueued.length} ended`,
    30_000,
    async () => {
      const drain = async (n: number): Promise<void> => {
        while ((await work(n, `late${n}`)) > 0);
      };
      await Promise.all([0, 1, 2, 3].map(drain));
      const ended = new Set(acknowledged.ended);
      return acknowledged.enqueued.every((id) => ended.has(id));
    },
  ).catch((error) => {
    const ended = new Set(acknowledged.ended);
    const open = acknowledged.enqueued.filter((id) => !ended.has(id));
    // An end whose answer died with the gateway is an end nevertheless.
    assert.ok(open.length < 10, String(error));
  });
  const facts = new Map<string, string>();
  const readFacts = async (): Promise<void> => {
    for (const { record } of await recordsOf(stack, "rollouts")) {
      if (record?.type === "RolloutChanged")
        facts.set(record.value.rollout_id, record.value.status);
    }
  };
  const lost = (): string[] => acknowledged.enqueued.filter((id) => !facts.has(id));
  const undone = (): string[] => acknowledged.ended.filter((id) => facts.get(id) !== "succeeded");
  // Facts follow their requests: track-rollouts publishes what gateways have answered already.
  await until(
    () => `answered 2xx and lost: enqueued ${lost()}, ended ${undone()}`,
    10_000,
    async () => {
      await readFacts();
      return lost().length + undone().length === 0;
    },
  );
  assert.equal(new Set(claimed).size, claimed.length, "an attempt was handed out twice");
});

test("what is enqueued at either gateway, one after the other or together, comes out in that order", async () => {
  while ((await dequeue(0, "sweeper", 50)).length > 0);
  const ids: string[] = [];
  for (let i = 0; i < 20; i++) {
    ids.push(...(await enqueue(i, i % 3 === 0 ? [1, 2, 3, 4, 5] : [1])));
  }
  const order: string[] = [];
  for (let i = 0; order.length < ids.length; i++) {
    const taken = await dequeue(i, "one", 1 + (i % 3));
    assert.ok(taken.length > 0, `the queue was dry after ${order.length} of ${ids.length}`);
    order.push(...taken.map(({ rollout_id }) => rollout_id));
  }
  assert.deepEqual(order, ids);
});
