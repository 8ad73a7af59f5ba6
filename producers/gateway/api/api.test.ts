import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";
import { type TestGateway, testGateway } from "../testing.ts";

type Method = "GET" | "POST" | "PUT";

async function ask(
  gateway: TestGateway,
  method: Method,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const payload = body === undefined ? {} : { payload: body as object };
  const answer = await gateway.app.inject({ method, url, headers, ...payload });
  const isJson = String(answer.headers["content-type"]).startsWith("application/json");
  return { status: answer.statusCode, body: isJson ? answer.json() : answer.payload, answer };
}

const llm = { kind: "llm", endpoint: "http://engine/v1", model: "m" };

test("an enqueued rollout carries the resources and the settings in force", async () => {
  const gateway = await testGateway();
  await ask(gateway, "PUT", "/api/v1/resources/main", { resources: { main_llm: llm } });
  await ask(gateway, "PUT", "/api/v1/resources/main", { resources: { main_llm: llm } });
  const credit = { strategy: "group-relative", parameters: { gamma: 0.9 } };
  const selection = { agents: [{ match: "^writer$", policy: "writer" }] };
  await ask(gateway, "PUT", "/api/v1/settings", { credit, selection, grace_seconds: 3 });
  const { status, body } = await ask(gateway, "POST", "/api/v1/rollouts", {
    input: { q: "Find a room" },
    mode: "train",
    metadata: { seed: 1 },
    config: { max_attempts: 2, retry_condition: ["failed"] },
  });
  assert.equal(status, 201);
  const [rollout] = body;
  assert.match(rollout.rollout_id, /^ro-[0-9a-f]{12}$/);
  assert.deepEqual(rollout.input, { q: "Find a room" });
  assert.equal(rollout.group_id, rollout.rollout_id);
  assert.equal(rollout.group_size, 1);
  assert.deepEqual([rollout.resources_id, rollout.resources_version], ["main", 2]);
  assert.deepEqual(rollout.credit, { ...credit, options: {} });
  assert.deepEqual(rollout.selection, selection);
  assert.equal(rollout.config.grace_seconds, 3);
  assert.equal(rollout.config.max_attempts, 2);
  const last = gateway.log.records.at(-1);
  assert.equal(last?.key, `default/${rollout.rollout_id}`);
  assert.ok(last?.type === "EnqueueRequested" && last.value.requested_at > 1e15);
});

test("a rollout goes its way from the queue to its end", async () => {
  const gateway = await testGateway({ publicUrl: "http://me:1/" });
  const tasks = [{ input: 1, rollout_id: "a b" }, { input: 2 }];
  assert.equal((await ask(gateway, "POST", "/api/v1/rollouts", tasks)).body.length, 2);
  const claimed = await ask(gateway, "POST", "/api/v1/rollouts/claim", { worker_id: "w" });
  const [work] = claimed.body;
  assert.equal(work.attempt.worker_id, "w");
  assert.equal(work.openai_base_url, "http://me:1/rollout/a%20b/attempt/at-1/v1");
  const path = "/api/v1/rollouts/a%20b";
  const beat = await ask(gateway, "POST", `${path}/attempts/latest/heartbeat`);
  assert.equal(beat.body.status, "running");
  const reward = { value: { accuracy: 1, style: 0.25 }, primary: "style", request_id: "r1" };
  const first = await ask(gateway, "POST", `${path}/attempts/at-1/rewards`, reward);
  assert.equal(first.status, 201);
  const again = await ask(gateway, "POST", `${path}/attempts/at-1/rewards`, reward);
  assert.equal(again.body.span_id, first.body.span_id);
  const span = gateway.log.records.find(({ type }) => type === "SpanRecorded")?.value;
  assert.ok(span && "attributes" in span && "name" in span);
  assert.equal(span.name, "agentlightning.annotation");
  assert.deepEqual(
    { ...span.attributes.doubles },
    {
      "agentlightning.reward.0.value": 0.25,
      "agentlightning.reward.1.value": 1,
    },
  );
  assert.equal(span.attributes.strings["agentlightning.reward.0.name"], "style");
  const waiting = ask(gateway, "GET", `${path}/wait?timeout=5`);
  const end = await ask(gateway, "POST", `${path}/attempts/at-1/end`, { status: "succeeded" });
  assert.equal(end.body.status, "succeeded");
  assert.equal((await waiting).body.status, "succeeded");
  const late = await ask(gateway, "POST", `${path}/attempts/at-1/end`, { status: "failed" });
  assert.deepEqual([late.status, late.body.error.code], [409, "conflict"]);
});

test("a wait ends at its time-out with the state so far", async () => {
  const gateway = await testGateway();
  await gateway.claimed("r");
  const { status, body } = await ask(gateway, "GET", "/api/v1/rollouts/r/wait?timeout=0.02");
  assert.deepEqual([status, body.status], [200, "preparing"]);
});

test("a repeated enqueue with the same key is the same rollout", async () => {
  const gateway = await testGateway();
  const key = { "idempotency-key": "k1" };
  const first = await ask(gateway, "POST", "/api/v1/rollouts", { input: 1 }, key);
  const again = await ask(gateway, "POST", "/api/v1/rollouts", { input: 1 }, key);
  assert.equal(again.status, 201);
  assert.equal(again.body[0].rollout_id, first.body[0].rollout_id);
  const other = await ask(gateway, "POST", "/projects/p/api/v1/rollouts", { input: 1 }, key);
  assert.notEqual(other.body[0].rollout_id, first.body[0].rollout_id);
  // The same key on another verb is another request.
  const path = `/api/v1/rollouts/${first.body[0].rollout_id}/cancel`;
  const cancelled = await ask(gateway, "POST", path, undefined, key);
  assert.equal(cancelled.body.status, "cancelled");
});

test("projects do not see each other", async () => {
  const gateway = await testGateway();
  await gateway.claimed("r", "p1");
  assert.equal((await ask(gateway, "GET", "/projects/p1/api/v1/rollouts/r")).status, 200);
  assert.equal((await ask(gateway, "GET", "/api/v1/rollouts/r")).status, 404);
  assert.equal((await ask(gateway, "GET", "/projects/-bad/api/v1/rollouts/r")).status, 400);
  const claim = await ask(gateway, "POST", "/projects/p2/api/v1/rollouts/claim", {});
  assert.deepEqual(claim.body, []);
});

test("resources come back as they were put, weights included, and a repeated put makes no version", async () => {
  const gateway = await testGateway();
  const resources = {
    main_llm: { ...llm, sampling_parameters: { temperature: 1 } },
    prompt: { kind: "prompt_template", template: "Hi {name}", engine: "f-string" },
    policy: { kind: "weights", blob: Buffer.from([1, 2]).toString("base64") },
  };
  const key = { "idempotency-key": "k" };
  const put = await ask(gateway, "PUT", "/api/v1/resources", { resources }, key);
  assert.equal(put.status, 201);
  assert.deepEqual(put.body.resources, resources);
  const again = await ask(gateway, "PUT", "/api/v1/resources", { resources }, key);
  assert.deepEqual(again.body, put.body);
  const id = put.body.resources_id;
  assert.deepEqual((await ask(gateway, "GET", `/api/v1/resources/${id}`)).body, put.body);
  assert.deepEqual((await ask(gateway, "GET", "/api/v1/resources/latest")).body, put.body);
  assert.deepEqual((await ask(gateway, "GET", "/api/v1/resources")).body, [put.body]);
});

test("SQL answers in the format asked for, refuses what is no SELECT, and is below no project", async () => {
  const gateway = await testGateway();
  const csv = await ask(gateway, "POST", "/api/v1/sql", { query: "SELECT 1", format: "CSV" });
  assert.equal(csv.answer.headers["content-type"], "text/csv; charset=utf-8");
  const drop = await ask(gateway, "POST", "/api/v1/sql", { query: "DROP TABLE spans" });
  assert.deepEqual([drop.status, drop.body.error.code], [400, "query-refused"]);
  const below = await ask(gateway, "POST", "/projects/a/api/v1/sql", { query: "SELECT 1" });
  assert.deepEqual([below.status, below.body.error.code], [404, "not-found"]);
});

const path = "/api/v1/rollouts";
const endPath = `${path}/r/attempts/at-1/end`;
const rewardPath = `${path}/r/attempts/at-1/rewards`;
const setPath = "/api/v1/resources/s";
const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;

/** Method, address, body, status, field named, part of the message. */
const mistakes: readonly [Method, string, unknown, number, string | null, RegExp][] = [
  ["POST", path, "{", 400, "body", /not JSON/],
  ["POST", path, '{"input":NaN}', 400, "body", /not JSON/],
  ["POST", path, "", 400, "body", /read nothing|must be/],
  ["POST", path, "5", 400, "body", /read 5/],
  ["POST", path, [], 400, "body", /must NOT have fewer than 1/],
  ["POST", path, {}, 400, "input", /is missing/],
  ["POST", path, [{ input: 1 }, {}], 400, "[1].input", /is missing/],
  ["POST", path, { input: 1, group_sise: 2 }, 400, "group_sise", /allowed are input, rollout_id/],
  ["POST", path, { input: 1, group_size: "2" }, 400, "group_size", /read "2", must be integer/],
  ["POST", path, { input: 1, group_size: 0 }, 400, "group_size", /read 0, must be >= 1/],
  ["POST", path, { input: 1, mode: "prod" }, 400, "mode", /read "prod", must be one of train/],
  ["POST", path, { input: 1, rollout_id: "" }, 400, "rollout_id", /fewer than 1/],
  ["POST", path, { input: 1, rollout_id: "a\u0000" }, 400, "rollout_id", /pattern/],
  ["POST", path, { input: 1, rollout_id: "x".repeat(301) }, 400, "rollout_id", /300/],
  ["POST", path, { input: 1, metadata: [] }, 400, "metadata", /a list of 0, must be object/],
  ["POST", path, { input: 1, config: { max_attempts: 0 } }, 400, "config.max_attempts", />= 1/],
  [
    "POST",
    path,
    '{"input":1,"group_deadline_seconds":1e999}',
    400,
    "group_deadline_seconds",
    /Infinity/,
  ],
  ["POST", path, `{"input":${deep}}`, 400, "input", /nested too deep/],
  ["POST", path, { input: 1, resources_id: "none" }, 404, "resources_id", /"none"/],
  ["POST", path, { input: "x".repeat(21 * 1024 * 1024) }, 413, "body", /larger than/],
  ["POST", `${path}/claim`, { limit: 1.5 }, 400, "limit", /integer/],
  ["POST", `${path}/claim`, null, 400, "body", /object/],
  ["GET", `${path}/none`, undefined, 404, "rollout", /"none"/],
  ["GET", `${path}/r/wait?timeout=abc`, undefined, 400, "timeout", /read "abc"/],
  ["GET", `${path}/r/wait?timeout=-1`, undefined, 400, "timeout", /0 to 300/],
  ["GET", `${path}/r/wait?timeout=1&timeout=2`, undefined, 400, "timeout", /0 to 300/],
  ["GET", `${path}/none/wait`, undefined, 404, "rollout", /"none"/],
  ["GET", `${path}/a%00b`, undefined, 400, "rollout", /control character/],
  ["GET", `${path}/%zz`, undefined, 400, null, /./],
  ["GET", `${path}/${"x".repeat(3000)}`, undefined, 414, null, /./],
  ["POST", `${path}/none/cancel`, {}, 404, "rollout", /none/],
  ["POST", `${path}/r/cancel`, { why: 1 }, 400, "why", /no field/],
  ["POST", endPath, {}, 400, "status", /missing/],
  ["POST", endPath, { status: "done" }, 400, "status", /succeeded, failed/],
  ["POST", `${path}/r/attempts/none/end`, { status: "failed" }, 404, "rollout", /none/],
  ["POST", `${path}/r/attempts/none/heartbeat`, undefined, 404, "rollout", /none/],
  ["POST", rewardPath, '{"value":NaN}', 400, "body", /not JSON/],
  ["POST", rewardPath, '{"value":1e999}', 400, "value", /Infinity/],
  ["POST", rewardPath, { value: "NaN" }, 400, "value", /read "NaN", must be number/],
  ["POST", rewardPath, { value: null }, 400, "value", /null/],
  ["POST", rewardPath, { value: { a: "1" } }, 400, "value.a", /read "1"/],
  ["POST", rewardPath, { value: { a: 1, b: 2 } }, 400, "primary", /"a", "b"/],
  ["POST", rewardPath, { value: { a: 1 }, primary: "b" }, 400, "primary", /read "b"/],
  ["POST", rewardPath, { value: {} }, 400, "value", /fewer than 1/],
  ["POST", `${path}/r/attempts/none/rewards`, { value: 1 }, 404, "attempt", /none of the 1/],
  ["POST", `${path}/none/attempts/latest/rewards`, { value: 1 }, 404, "rollout", /"none"/],
  ["PUT", setPath, {}, 400, "resources", /missing/],
  ["PUT", setPath, { resources: { a: {} } }, 400, "resources.a.kind", /missing/],
  ["PUT", setPath, { resources: { a: { kind: "x" } } }, 400, "resources.a.kind", /prompt_template/],
  ["PUT", setPath, { resources: { a: { kind: "llm" } } }, 400, "resources.a.model", /missing/],
  [
    "PUT",
    setPath,
    { resources: { a: { ...llm, endpoint: "file:///etc" } } },
    400,
    "resources.a.endpoint",
    /http/,
  ],
  ["PUT", setPath, { resources: { "": llm } }, 400, "resources", /1 to 300/],
  [
    "PUT",
    setPath,
    { resources: { w: { kind: "weights", blob: "%" } } },
    400,
    "resources.w.blob",
    /pattern/,
  ],
  ["PUT", "/api/v1/resources/latest", { resources: {} }, 400, "resources", /stands for/],
  ["GET", "/api/v1/resources/none", undefined, 404, "resources", /"none"/],
  ["GET", "/api/v1/resources/latest", undefined, 404, null, /no resources/],
  [
    "PUT",
    "/api/v1/settings",
    { credit: { strategy: "x" } },
    400,
    "credit.strategy",
    /final-reward/,
  ],
  ["PUT", "/api/v1/settings", { grace_seconds: -1 }, 400, "grace_seconds", />= 0/],
  ["POST", "/api/v1/sql", { query: "" }, 400, "query", /fewer/],
  ["POST", "/api/v1/sql", { query: "SELECT 1", format: "Native" }, 400, "format", /JSONEachRow/],
  ["GET", "/api/v1/nothing", undefined, 404, null, /GET \/api/],
];

test("every mistake is a 4xx that names the field, what was read and what is allowed", async () => {
  const gateway = await testGateway();
  await gateway.claimed("r");
  for (const [method, url, body, status, field, message] of mistakes) {
    const headers = { "content-type": "application/json" };
    const answer = await ask(gateway, method, url, body, body === undefined ? {} : headers);
    const what = `${method} ${url.slice(0, 80)} ${String(JSON.stringify(body)).slice(0, 80)}`;
    assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body).slice(0, 200)}`);
    assert.equal(answer.body.error.field ?? null, field, what);
    assert.match(answer.body.error.message, message, what);
    assert.ok(JSON.stringify(answer.body).length < 1500, what);
  }
  assert.equal(
    gateway.log.records.some(({ type }) => type === "SpanRecorded"),
    false,
  );
});

test("bodies of another type, too large when decompressed, or broken are refused", async () => {
  const gateway = await testGateway();
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const wrong = await ask(gateway, "POST", path, "input=1", form);
  assert.deepEqual([wrong.status, wrong.body.error.field], [415, "Content-Type"]);
  const gzip = { "content-type": "application/json", "content-encoding": "gzip" };
  const bomb = zlib.gzipSync(Buffer.alloc(100 * 1024 * 1024, 32), { level: 1 });
  assert.equal((await ask(gateway, "POST", path, bomb, gzip)).status, 413);
  assert.equal((await ask(gateway, "POST", path, Buffer.from("x"), gzip)).status, 400);
  const fine = zlib.gzipSync('{"input":1}');
  assert.equal((await ask(gateway, "POST", path, fine, gzip)).status, 201);
  const key = { "idempotency-key": "x".repeat(301) };
  const long = await ask(gateway, "POST", path, { input: 1 }, key);
  assert.deepEqual([long.status, long.body.error.field], [400, "Idempotency-Key"]);
});

test("an unreachable broker is a 503 that says when to come back", async () => {
  const gateway = await testGateway();
  gateway.log.down = true;
  const { status, body, answer } = await ask(gateway, "POST", path, { input: 1 });
  assert.deepEqual([status, body.error.code], [503, "kafka-unavailable"]);
  assert.equal(answer.headers["retry-after"], "1");
  const ready = await ask(gateway, "GET", "/ready");
  assert.deepEqual([ready.status, ready.body.behind], [503, 7]);
  assert.equal((await ask(gateway, "GET", "/health")).status, 200);
});

test("metrics name the routes, never the ids", async () => {
  const gateway = await testGateway();
  await gateway.claimed("secret-rollout");
  await ask(gateway, "GET", "/api/v1/rollouts/secret-rollout");
  const { body } = await ask(gateway, "GET", "/metrics");
  assert.match(body, /route="\/api\/v1\/rollouts\/:rollout"/);
  assert.doesNotMatch(body, /secret-rollout/);
});
