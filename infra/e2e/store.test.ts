/**
 * The rows of reference/v0.3-store.md, section 4, over plain HTTP against the real broker, the real
 * processors and two gateways, asked in turns. infra/compat/ does the same with the real client.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { storeRequests } from "../../producers/gateway/store/fuzzing.ts";
import { freePort, type RoleProcess, type Stack, startRoleProcess, startStack } from "./stack.ts";
import { type Json, type Started, spanOf } from "./store-client.ts";

/** What answers have that is looked at here; some are lists of it. */
type Reply = {
  readonly rollout_id: string;
  readonly resources_id: string;
  readonly span_id: string;
  readonly worker_id: string;
  readonly sequence_id: number;
  readonly status: string;
  readonly input: unknown;
  readonly mode: unknown;
  readonly metadata: unknown;
  readonly config: unknown;
  readonly attempt: Reply;
  readonly items: readonly Reply[];
  readonly last_heartbeat_time: number | null;
  readonly create_time: number;
  readonly update_time: number;
  readonly version: number;
  readonly resources: { readonly p: unknown };
  readonly name: string;
  readonly uptime: number;
};
type Any = Reply & readonly Reply[];

let stack: Stack;
let folds: RoleProcess;
let gateways: RoleProcess[];
let roots: string[];
let project = 0;
let turn = 0;

before(async () => {
  stack = await startStack();
  folds = startRoleProcess(stack, ["track-rollouts", "clickhouse"]);
  const ports = [await freePort(), await freePort()];
  roots = ports.map((port) => `http://127.0.0.1:${port}`);
  gateways = ports.map((port) =>
    startRoleProcess(stack, ["gateway"], { args: ["--port", String(port)] }),
  );
  await Promise.all([folds, ...gateways].map((one) => one.ready()));
});

after(async () => {
  await Promise.all([folds, ...(gateways ?? [])].map((one) => one?.stop()));
  await stack?.close();
});

/** Asks the gateways in turns, in the current test's project. */
async function ask(method: "GET" | "POST", path: string, body?: unknown) {
  turn += 1;
  const response = await fetch(`${roots[turn % 2]}/projects/p${project}/v1/agl${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, json: JSON.parse(text) as Any };
}

const get = async (path: string): Promise<Any> => (await ask("GET", path)).json;
const post = async (path: string, body?: unknown): Promise<Any> =>
  (await ask("POST", path, body)).json;

const start = (config: Json = {}): Promise<Started> =>
  post("/rollouts", { input: 1, config }) as Promise<unknown> as Promise<Started>;
const span = (owner: Started, id: string, more: Json = {}) =>
  ask("POST", "/spans", { ...spanOf(owner, id), ...more });
const update = (owner: Started, body: Json, attempt = "latest") =>
  post(`/rollouts/${owner.rollout_id}/attempts/${attempt}`, body);

/** Status of the rollout and of its attempts. */
async function statuses({ rollout_id }: Started): Promise<string> {
  const rollout = await get(`/rollouts/${rollout_id}`);
  const { items } = await get(`/rollouts/${rollout_id}/attempts`);
  return `${rollout.status}: ${items.map((one) => one.status).join(" ")}`;
}

/** A test in a project of its own. */
function row(name: string, run: () => Promise<void>): void {
  test(name, async () => {
    project += 1;
    await run();
  });
}

row("a limit of 0 is a 400, a claim of 0 leaves the queue alone", async () => {
  await post("/queues/rollouts/enqueue", { rollouts: [{ input: 1 }] });
  assert.equal((await ask("GET", "/rollouts?limit=0")).status, 400);
  assert.deepEqual(await post("/queues/rollouts/dequeue", { limit: 0 }), []);
  assert.equal((await post("/queues/rollouts/dequeue")).length, 1);
});

row("a batch is claimed in its order, and always comes as a list", async () => {
  const rollouts = Array.from({ length: 64 }, (_, input) => ({ input }));
  const made = await post("/queues/rollouts/enqueue", { rollouts });
  assert.equal((await post("/queues/rollouts/enqueue", { rollouts: [{ input: 64 }] })).length, 1);
  const taken: number[] = [];
  for (let n = 0; n < 13; n++) {
    const claimed = await post("/queues/rollouts/dequeue", { limit: 5 });
    for (const one of claimed) taken.push(Number(one.input));
  }
  assert.deepEqual(
    taken,
    Array.from({ length: 65 }, (_, n) => n),
  );
  const listed = await get("/rollouts");
  assert.deepEqual(
    [...listed.items].slice(0, 64).map((one) => one.rollout_id),
    [...made].map((one) => one.rollout_id),
  );
});

row("thirty claims at once over twenty rollouts are twenty and ten empty ones", async () => {
  const rollouts = Array.from({ length: 20 }, (_, input) => ({ input }));
  await post("/queues/rollouts/enqueue", { rollouts });
  const claims = await Promise.all(
    Array.from({ length: 30 }, () => post("/queues/rollouts/dequeue", {})),
  );
  const ids = claims.flatMap((one) => [...one].map(({ rollout_id }) => rollout_id));
  assert.equal(new Set(ids).size, 20);
  assert.equal(ids.length, 20);
});

row("null and absent are two things in updates", async () => {
  const one = await post("/rollouts", { input: 1, mode: "train", metadata: { a: 1 } });
  const path = `/rollouts/${one.rollout_id}`;
  assert.equal((await ask("POST", path, { status: null })).status, 400);
  assert.equal((await post(path, {})).mode, "train");
  const cleared = await post(path, { mode: null, metadata: null, input: null });
  assert.deepEqual([cleared.mode, cleared.metadata, cleared.input], [null, null, null]);
  const attempt = await post(`${path}/attempts/latest`, { worker_id: "", metadata: {} });
  assert.deepEqual([attempt.worker_id, attempt.metadata], ["", {}]);
  const config = { max_attempts: 3 };
  assert.deepEqual((await post(path, { config })).config, {
    timeout_seconds: null,
    unresponsive_seconds: null,
    max_attempts: 3,
    retry_condition: [],
  });
});

row("numbers of spans: 0 is one, 100 is followed by 101, and all attempts share them", async () => {
  const one = await start();
  assert.equal((await span(one, "s0", { sequence_id: 0 })).json.sequence_id, 0);
  const next = async (attempt_id: string): Promise<number> =>
    (await post("/spans/next", { rollout_id: one.rollout_id, attempt_id })).sequence_id;
  assert.deepEqual([await next("made-up"), await next("x")], [1, 2]);
  await span(one, "s100", { sequence_id: 100 });
  assert.equal(await next("x"), 101);
  const many = await Promise.all(Array.from({ length: 40 }, () => next("x")));
  assert.deepEqual(
    many.sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, n) => 102 + n),
  );
});

row("a span sent twice is null the second time and changes nothing", async () => {
  const one = await start();
  assert.equal((await span(one, "s")).json.span_id, "s");
  await update(one, { status: "unresponsive" });
  const again = await span(one, "s");
  assert.deepEqual([again.status, again.text], [201, "null"]);
  assert.equal(await statuses(one), "failed: unresponsive");
});

row("a span revives what was silent, not what ran out of time", async () => {
  const silent = await start({ max_attempts: 2, retry_condition: ["unresponsive"] });
  await update(silent, { status: "unresponsive" });
  assert.equal(await statuses(silent), "requeuing: unresponsive");
  await span(silent, "s");
  assert.equal(await statuses(silent), "running: running");
  assert.deepEqual(await post("/queues/rollouts/dequeue", {}), [], "its retry is off");
  const late = await start();
  await update(late, { status: "timeout" });
  await span(late, "s");
  assert.equal(await statuses(late), "failed: timeout");
  const { last_heartbeat_time } = await get(`/rollouts/${late.rollout_id}/attempts/latest`);
  assert.notEqual(last_heartbeat_time, null);
});

row("a late span of an old attempt leaves the rollout where it is", async () => {
  const one = await start({ max_attempts: 2, retry_condition: ["unresponsive"] });
  await update(one, { status: "unresponsive" });
  await post("/queues/rollouts/dequeue", {});
  await span(one, "s");
  assert.equal(await statuses(one), "preparing: running preparing");
});

row("attempts by hand ignore the number allowed", async () => {
  const one = await start();
  await update(one, { status: "failed" });
  const again = await post(`/rollouts/${one.rollout_id}/attempts`, {});
  assert.deepEqual([again.attempt.sequence_id, again.status], [2, "preparing"]);
});

row("a limit of a tenth of a second is seen when asked after it", async () => {
  const one = await start({ timeout_seconds: 0.1 });
  await sleep(150);
  assert.equal(await statuses(one), "failed: timeout");
});

row("waiting gives what is over, wakes at the end, and leaves out what is unknown", async () => {
  const [done, open] = [await start(), await start()];
  await update(done, { status: "succeeded" });
  const ids = [open.rollout_id, done.rollout_id, "ro-none", done.rollout_id];
  const now = await post("/waits/rollouts", { rollout_ids: ids, timeout: 0 });
  assert.deepEqual(
    [...now].map((one) => one.rollout_id),
    [done.rollout_id, done.rollout_id],
  );
  assert.ok([...now].every((one) => !("attempt" in one)));
  const waiting = post("/waits/rollouts", { rollout_ids: [open.rollout_id], timeout: null });
  await sleep(100);
  await update(open, { status: "failed" });
  assert.equal((await waiting)[0]?.status, "failed");
});

row("resources keep their time of making and count their versions", async () => {
  const first = await post("/resources", {});
  assert.match(String(first.resources_id), /^rs-[0-9a-f]{12}$/);
  await sleep(10);
  const template = { resource_type: "prompt_template", template: "x", engine: "jinja" };
  const second = await post(`/resources/${first.resources_id}`, { p: { ...template, more: 1 } });
  assert.deepEqual([second.version, second.create_time], [2, first.create_time]);
  assert.ok(second.update_time > first.update_time);
  assert.deepEqual(second.resources.p, template);
  const one = await post("/rollouts", { input: 1 });
  assert.equal(one.resources_id, first.resources_id, "the latest is frozen");
});

row("statistics count exactly and at once", async () => {
  const one = await start();
  await span(one, "s");
  await post("/workers/w", {});
  await post("/resources", {});
  const { name, uptime, ...counts } = await get("/statistics");
  assert.ok(uptime > 0 && name.length > 0);
  assert.deepEqual(counts, {
    total_rollouts: 1,
    total_attempts: 1,
    total_spans: 1,
    total_resources: 1,
    total_workers: 1,
  });
});

row("ten thousand requests of any kind: no 5xx, no connection lost, memory bounded", async () => {
  const one = await start();
  const ids = { rollout: one.rollout_id, attempt: one.attempt.attempt_id };
  const before = memoryOf(gateways);
  const requests = fc.sample(storeRequests(ids), { numRuns: 10_000, seed: 4747 });
  let slowest = 0;
  const ask = async (from: number): Promise<void> => {
    for (let i = from; i < requests.length; i += 8) {
      const { method, path, body } = requests[i] ?? { method: "GET", path: "/health", body: null };
      const at = performance.now();
      const answer = await fetch(`${roots[i % 2]}/projects/p${project}/v1/agl${path}`, {
        method,
        ...(body === null ? {} : { body, headers: { "content-type": "application/json" } }),
      });
      const text = await answer.text();
      slowest = Math.max(slowest, performance.now() - at);
      assert.ok(answer.status < 500, `${method} ${path} ${body}: ${text.slice(0, 500)}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, from) => ask(from)));
  assert.ok(slowest < 5000, `the slowest took ${slowest} ms`);
  for (const [i, now] of memoryOf(gateways).entries()) {
    assert.ok(now - (before[i] ?? 0) < 400, `gateway ${i} grew from ${before[i]} to ${now} MiB`);
  }
  assert.deepEqual(
    gateways.map(({ deaths }) => deaths),
    [0, 0],
  );
});

/** Resident memory, MiB. */
function memoryOf(processes: readonly RoleProcess[]): number[] {
  return processes.map(({ pid }) => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  });
}
