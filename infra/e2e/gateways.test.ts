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
let tracking: RoleProcess;
let gateways: RoleProcess[];
let urls: string[];

before(async () => {
  stack = await startStack();
  tracking = startRoleProcess(stack, ["track-rollouts"]);
  const ports = [await freePort(), await freePort()];
  urls = ports.map((port) => `http://127.0.0.1:${port}`);
  gateways = ports.map((port) =>
    startRoleProcess(stack, ["gateway"], { args: ["--port", String(port)] }),
  );
  await Promise.all([tracking, ...gateways].map((one) => one.ready()));
});

after(async () => {
  await Promise.all([tracking, ...(gateways ?? [])].map((one) => one?.stop()));
  await stack?.close();
});

type Answer<T> = { readonly status: number; readonly body: T };
type Rollout = {
  readonly rollout_id: string;
  readonly status: string;
  readonly attempts: readonly unknown[];
};
type Claimed = Rollout & { readonly attempt: { readonly attempt_id: string } };

/** Posts to one of the gateways; throws `gateway-unavailable` when the connection breaks. */
async function post<T>(gateway: number, path: string, body: unknown): Promise<Answer<T>> {
  try {
    const response = await fetch(`${urls[gateway % urls.length]}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as T };
  } catch (cause) {
    throw new LightningError("gateway-unavailable", "no answer", { cause });
  }
}

async function get(gateway: number, path: string): Promise<Answer<Rollout>> {
  const response = await fetch(`${urls[gateway]}${path}`);
  return { status: response.status, body: (await response.json()) as Rollout };
}

async function enqueue(name: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `${name}-${i}`);
  const tasks = ids.map((rollout_id) => ({ rollout_id, input: { task: rollout_id } }));
  assert.equal((await post(0, "/api/v1/rollouts", tasks)).status, 201);
  return ids;
}

async function claim(gateway: number, limit: number): Promise<Claimed[]> {
  const { status, body } = await post<Claimed[]>(gateway, "/api/v1/rollouts/claim", {
    worker_id: `w${gateway}`,
    limit,
  });
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

test("a rollout enqueued at one gateway is visible at the other, and can be claimed and ended there", async () => {
  const [id] = await enqueue("seen", 1);
  await until(
    () => `${id} is not seen at the other gateway`,
    2000,
    async () => (await get(1, `/api/v1/rollouts/${id}`)).status === 200,
  );
  const [claimed] = await claim(1, 1);
  assert.equal(claimed?.rollout_id, id);
  const path = `/api/v1/rollouts/${id}/attempts/${claimed?.attempt.attempt_id}/end`;
  assert.equal((await post(1, path, { status: "succeeded" })).status, 200);
  await until(
    () => `${id} has not ended at the first gateway`,
    2000,
    async () => (await get(0, `/api/v1/rollouts/${id}`)).body.status === "succeeded",
  );
});

test("200 rollouts and 16 claimers over both gateways: each is handed out once", async () => {
  const ids = await enqueue("claimed", 200);
  const handedOut: string[] = [];
  const claimer = async (n: number): Promise<void> => {
    for (let empty = 0; empty < 5; ) {
      const claimed = await claim(n, 1 + (n % 4));
      handedOut.push(...claimed.map(({ rollout_id }) => rollout_id));
      empty = claimed.length === 0 ? empty + 1 : 0;
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, n) => claimer(n)));
  assert.deepEqual(handedOut.sort(), ids.sort());
});

test("two ends that race at two gateways give one success and one conflict, every time", async () => {
  await enqueue("raced", 20);
  const claimed = await claim(0, 20);
  assert.equal(claimed.length, 20);
  const winners: string[] = [];
  await Promise.all(
    claimed.map(async ({ rollout_id, attempt }) => {
      const path = `/api/v1/rollouts/${rollout_id}/attempts/${attempt.attempt_id}/end`;
      // The other gateway may not have read the claim yet, which would be a 404.
      await until(
        () => `${rollout_id} is not claimed at the other gateway`,
        5000,
        async () => (await get(1, `/api/v1/rollouts/${rollout_id}`)).body.attempts.length > 0,
      );
      const ends = ["succeeded", "failed"].map((status, gateway) =>
        post(gateway, path, { status }),
      );
      const answers = await Promise.all(ends);
      const statuses = answers.map(({ status }) => status);
      assert.deepEqual(statuses.toSorted(), [200, 409], JSON.stringify(answers));
      const winner = statuses[0] === 200 ? "succeeded" : "failed";
      winners.push(winner);
      for (const gateway of [0, 1]) {
        await until(
          () => `gateway ${gateway} says otherwise of ${rollout_id}`,
          2000,
          async () => (await get(gateway, `/api/v1/rollouts/${rollout_id}`)).body.status === winner,
        );
      }
    }),
  );
  assert.equal(winners.length, 20);
});

test("kill -9 of a gateway under load loses nothing it had answered with 2xx", async () => {
  const rollouts: string[] = [];
  const spans: string[] = [];
  let broken = 0;
  const end = Date.now() + 6000;
  const client = async (n: number): Promise<void> => {
    for (let i = 0; Date.now() < end; i++) {
      const rolloutId = `killed-${n}-${i}`;
      try {
        const enqueued = await post(n, "/api/v1/rollouts", {
          rollout_id: rolloutId,
          input: {},
          start: true,
        });
        if (enqueued.status !== 201) continue;
        rollouts.push(rolloutId);
        const path = `/api/v1/rollouts/${rolloutId}/attempts/latest/rewards`;
        const rewarded = await post<{ span_id: string }>(n, path, { value: i });
        if (rewarded.status === 201) spans.push(rewarded.body.span_id);
      } catch (error) {
        if (codeOf(error) !== "gateway-unavailable") throw error;
        broken += 1;
        await gateways[n % 2]?.ready();
      }
    }
  };
  const clients = Array.from({ length: 8 }, (_, n) => client(n));
  await until(
    () => "nothing was written",
    5000,
    async () => spans.length > 50,
  );
  gateways[0]?.signal("SIGKILL");
  await Promise.all(clients);
  assert.equal(gateways[0]?.deaths, 1);
  assert.ok(broken > 0, "the kill disturbed nobody");
  const asked = (await recordsOf(stack, "requests")).flatMap(({ record }) =>
    record?.type === "EnqueueRequested" ? [record.value.rollout_id] : [],
  );
  const recorded = (await recordsOf(stack, "spans")).flatMap(({ record }) =>
    record?.type === "SpanRecorded" ? [record.value.span_id] : [],
  );
  const missing = (wanted: string[], found: string[]): string[] => {
    const there = new Set(found);
    return wanted.filter((id) => !there.has(id));
  };
  assert.deepEqual(missing(rollouts, asked), [], "enqueued, answered 2xx and lost");
  assert.deepEqual(missing(spans, recorded), [], "spans answered 2xx and lost");
  assert.equal(new Set(recorded).size, recorded.length, "a span was written twice");
  await gateways[0]?.ready();
  for (const gateway of [0, 1]) {
    for (const id of rollouts.filter((_, i) => i % 10 === 0)) {
      assert.equal(
        (await get(gateway, `/api/v1/rollouts/${id}`)).status,
        200,
        `${id} at ${gateway}`,
      );
    }
  }
});
