import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../../schemas/topics.ts";
import { createAppendAt } from "../append-records.ts";
import { openFence } from "../kafka/transaction.ts";
import {
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import { type Json, recorded, type Started, spanOf, storeClient } from "./store-client.ts";
import { recordsOf } from "./verify.ts";

let stack: Stack;
let folds: RoleProcess;
let gateways: RoleProcess[];
let store: ReturnType<typeof storeClient>;

before(async () => {
  stack = await startStack({
    LIGHTNING_SPAN_MEMORY_MB: "1",
    LIGHTNING_RETENTION_SECONDS: "2",
    LIGHTNING_QUERY_DEADLINE_SECONDS: "4",
  });
  folds = startRoleProcess(stack, ["track-rollouts", "clickhouse"]);
  const ports = [await freePort(), await freePort()];
  store = storeClient(ports.map((port) => `http://127.0.0.1:${port}/v1/agl`));
  gateways = ports.map((port) =>
    startRoleProcess(stack, ["gateway"], { args: ["--port", String(port)] }),
  );
  await Promise.all([folds, ...gateways].map((one) => one.ready()));
});

after(async () => {
  await Promise.all([folds, ...(gateways ?? [])].map((one) => one?.stop()));
  await stack?.close();
});

test("what one gateway answered for is in the other's next read", async () => {
  for (let i = 0; i < 25; i++) {
    const [a, b] = i % 2 === 0 ? [0, 1] : [1, 0];
    const started = await store.start(a);
    const path = `/rollouts/${started.rollout_id}`;
    assert.equal((await store.get<Started | null>(b, path))?.rollout_id, started.rollout_id);
    const attempts = await store.get<{ total: number }>(b, `${path}/attempts`);
    assert.equal(attempts.total, 1);
    const before = await store.get<Json>(b, "/statistics");
    await store.post(a, "/spans", spanOf(started, "s1"));
    assert.deepEqual(await store.spanIds(b, started), ["s1"]);
    const running = await store.get<Started>(b, path);
    assert.equal(running.attempt.status, "running");
    assert.equal(
      (await store.get<Json>(b, "/statistics")).total_spans,
      Number(before.total_spans) + 1,
    );
    const set = await store.post<{ resources_id: string }>(a, "/resources", {});
    assert.equal(
      (await store.get<{ resources_id: string }>(b, "/resources/latest")).resources_id,
      set.resources_id,
    );
    await store.post(a, `${path}/attempts/latest`, { status: "succeeded" });
    assert.equal((await store.get<{ status: string }>(b, path)).status, "succeeded");
  }
});

test("a worker that took a rollout at one gateway is busy at the other", async () => {
  for (let i = 0; i < 10; i++) {
    const [a, b] = i % 2 === 0 ? [0, 1] : [1, 0];
    await store.post(a, "/queues/rollouts/enqueue", { rollouts: [{ input: i }] });
    const [taken] = await store.post<Started[]>(b, "/queues/rollouts/dequeue", {
      worker_id: `w${i}`,
    });
    const worker = await store.get<Json>(a, `/workers/w${i}`);
    assert.equal(worker.status, "busy");
    assert.equal(worker.current_rollout_id, taken?.rollout_id);
  }
});

test("a span that another producer wrote to the log is in the next read", async () => {
  await stack.context.codec.prepare("spans", topics.spans.records);
  for (let i = 0; i < 25; i++) {
    const started = await store.start(0);
    await stack.context.append([recorded(started, "straight")]);
    assert.deepEqual(await store.spanIds(i % 2, started), ["straight"]);
  }
});

test("a span of an open transaction is seen when that commits, and holds nobody back", async () => {
  const { client, codec } = stack.context;
  const started = await store.start(0);
  const { topic, key, ...record } = recorded(started, "held");
  const fence = await openFence(client, "consistency-test");
  try {
    const transaction = await fence.begin();
    await transaction.send([{ topic, key, value: codec.encode(topic, record) }]);
    await store.post(0, "/spans", spanOf(started, "free"));
    for (const gateway of [0, 1]) assert.deepEqual(await store.spanIds(gateway, started), ["free"]);
    await transaction.commit();
    await until(
      () => "the committed span is not seen",
      5000,
      async () => (await store.spanIds(1, started)).length === 2,
    );
    assert.deepEqual(await store.spanIds(0, started), ["free", "held"]);
  } finally {
    await fence.close();
  }
});

test("the producer tells of every record where it stands", async () => {
  const { codec, appender } = stack.context;
  const append = createAppendAt(codec, appender);
  const asked = Array.from({ length: 40 }, (_, i) => {
    const one = { rollout_id: `placed-${i}`, attempt: { attempt_id: "at", status: "" } };
    return [recorded(one, "1"), recorded(one, "2")];
  });
  const written = (await Promise.all(asked.map((records) => append(records)))).flat();
  const found = new Map(
    (await recordsOf(stack, "spans")).map(({ partition, offset, record }) => [
      `${partition}/${offset}`,
      record,
    ]),
  );
  for (const [i, { value }] of asked.flat().entries()) {
    const at = written[i];
    const record = found.get(`${at?.partition}/${at?.offset}`);
    assert.ok(record?.type === "SpanRecorded", `nothing at ${JSON.stringify(at)}`);
    assert.equal(record.value.rollout_id, value.rollout_id);
    assert.equal(record.value.span_id, value.span_id);
  }
});

test("the same span added twice at once, at both gateways, is new to one of them", async () => {
  for (let i = 0; i < 10; i++) {
    const started = await store.start(0);
    const answers = await Promise.all([
      store.post(0, "/spans", spanOf(started, "same")),
      store.post(1, "/spans", spanOf(started, "same")),
      store.post(1, "/spans", spanOf(started, "same")),
    ]);
    assert.equal(answers.filter((answer) => answer !== null).length, 1, JSON.stringify(answers));
    assert.deepEqual(await store.spanIds(0, started), ["same"]);
  }
});

test("spans that no longer fit into memory are read from ClickHouse, and recognised when they come again", async () => {
  const started = await store.start(0);
  for (const id of ["a", "b", "c"])
    await store.post(0, "/spans", spanOf(started, id, { text: id }));
  await fill(0);
  await store.post(1, "/spans", spanOf(started, "d", { text: "d" }));
  for (const gateway of [0, 1])
    assert.deepEqual(await store.spanIds(gateway, started), ["a", "b", "c", "d"]);
  for (const id of ["a", "d"]) {
    assert.equal(await store.post(0, "/spans", spanOf(started, id, { text: "again" })), null);
  }
  const { items } = await store.post<{ items: { attributes: Json }[] }>(1, "/spans/search", {
    rollout_id: started.rollout_id,
    sort_by: "span_id",
  });
  assert.deepEqual(
    items.map(({ attributes }) => attributes.text),
    ["a", "b", "c", "d"],
  );
});

/** More than the gateways may keep. */
async function fill(gateway: number): Promise<void> {
  const other = await store.start(gateway);
  const text = "x".repeat(60_000);
  for (let i = 0; i < 24; i++)
    await store.post(gateway, "/spans", spanOf(other, `f${i}`, { text }));
}

test("a gateway that starts anew sees what was before, and recognises it", async () => {
  const started = await store.start(0);
  for (const id of ["a", "b"]) await store.post(0, "/spans", spanOf(started, id));
  const { total_spans: before } = await store.get<Json>(1, "/statistics");
  gateways[0]?.signal("SIGKILL");
  await sleep(300);
  await gateways[0]?.ready();
  assert.deepEqual(await store.spanIds(0, started), ["a", "b"]);
  assert.equal(await store.post(0, "/spans", spanOf(started, "b")), null);
  assert.notEqual(await store.post(0, "/spans", spanOf(started, "c")), null);
  assert.deepEqual(await store.spanIds(1, started), ["a", "b", "c"]);
  for (const gateway of [0, 1]) {
    assert.equal((await store.get<Json>(gateway, "/statistics")).total_spans, Number(before) + 1);
  }
});

test("rollouts past their retention are answered from ClickHouse, listed once and counted", async () => {
  const started = await store.start(0);
  const path = `/rollouts/${started.rollout_id}`;
  await store.post(0, `${path}/attempts/latest`, { status: "succeeded" });
  const list = (): Promise<{ items: Started[]; total: number }> =>
    store.post(1, "/rollouts/search", { status_in: ["succeeded"] });
  const total = (await list()).total;
  await sleep(4000);
  for (let i = 0; i < 5; i++) {
    const now = await list();
    assert.equal(now.total, total);
    assert.equal(new Set(now.items.map(({ rollout_id }) => rollout_id)).size, total);
  }
  assert.equal((await store.get<{ status: string }>(1, path)).status, "succeeded");
  assert.equal((await store.get<Json>(1, `${path}/attempts`)).total, 1);
});

test("while ClickHouse is away what is live is answered, and what is not gets a 503 that says why", async () => {
  const old = await store.start(0);
  await store.post(0, "/spans", spanOf(old, "a"));
  await fill(0);
  await until(
    () => "the old span is not in ClickHouse",
    10_000,
    async () => (await store.spanIds(0, old)).length === 1,
  );
  await stack.stopClickHouse();
  try {
    const live = await store.start(0);
    await store.post(0, "/spans", spanOf(live, "now"));
    assert.deepEqual(await store.spanIds(1, live), ["now"]);
    assert.equal(
      (await store.get<Started>(1, `/rollouts/${live.rollout_id}`)).rollout_id,
      live.rollout_id,
    );
    const refused = await store.ask(0, "GET", `/spans?rollout_id=${old.rollout_id}`);
    assert.equal(refused.status, 503, JSON.stringify(refused.body));
    assert.match(JSON.stringify(refused.body), /ClickHouse/);
    // Ingestion goes on, also where nobody can say whether the span is new.
    assert.notEqual(await store.post(0, "/spans", spanOf(old, "b")), undefined);
  } finally {
    await stack.startClickHouse();
  }
  await until(
    () => "the spans do not come back",
    15_000,
    async () => (await store.ask(0, "GET", `/spans?rollout_id=${old.rollout_id}`)).status === 200,
  );
  assert.deepEqual(await store.spanIds(0, old), ["a", "b"]);
});
