import assert from "node:assert/strict";
import { test } from "node:test";
import { type TestGateway, testGateway } from "../testing.ts";

const base = "/v1/agl";

async function send(
  gateway: TestGateway,
  method: "GET" | "POST",
  path: string,
  payload?: string | object,
  headers: Record<string, string> = { "content-type": "application/json" },
) {
  const body = payload === undefined ? {} : { payload, headers };
  const answer = await gateway.app.inject({ method, url: `${base}${path}`, ...body });
  return {
    status: answer.statusCode,
    text: answer.payload,
    json: answer.payload === "" ? null : answer.json(),
    type: answer.headers["content-type"],
  };
}

function spanBody(rollout_id: string, attempt_id: string, more: object = {}) {
  return {
    rollout_id,
    attempt_id,
    sequence_id: 1,
    trace_id: "trace-123",
    span_id: "span-1",
    parent_id: null,
    name: "work",
    status: { status_code: "OK", description: null },
    attributes: {},
    events: [],
    links: [],
    start_time: 1_760_000_000.25,
    end_time: null,
    context: null,
    parent: null,
    resource: { attributes: {}, schema_url: "" },
    ...more,
  };
}

async function started(gateway: TestGateway): Promise<{ rollout: string; attempt: string }> {
  const { json } = await send(gateway, "POST", "/rollouts", { input: 1 });
  return { rollout: json.rollout_id, attempt: json.attempt.attempt_id };
}

test("JSON comes back as it was sent: floats, large integers, and null for bare NaN", async () => {
  const gateway = await testGateway();
  const body = `{"rollouts":[{"input":{"a":1.0,"b":12345678901234567890,"c":NaN,"d":"NaN","e":[-Infinity]},"metadata":{"x":2.50}}]}`;
  const { status, text, type } = await send(gateway, "POST", "/queues/rollouts/enqueue", body);
  assert.equal(status, 201);
  assert.match(String(type), /^application\/json/);
  assert.ok(
    text.includes('"input":{"a":1.0,"b":12345678901234567890,"c":null,"d":"NaN","e":[null]}'),
    text,
  );
  assert.ok(text.includes('"metadata":{"x":2.50}'), text);
});

test("a rollout has the attempt key only when it has an attempt, keys in the reference's order", async () => {
  const gateway = await testGateway();
  const queued = await send(gateway, "POST", "/queues/rollouts/enqueue", {
    rollouts: [{ input: null, config: { timeout_seconds: 5, unknown: 1 } }],
  });
  const names = "rollout_id,input,start_time,end_time,mode,resources_id,status,config,metadata";
  assert.equal(Object.keys(queued.json[0]).join(), names);
  assert.ok(queued.text.includes('"timeout_seconds":5.0,"unresponsive_seconds":null'));
  const taken = await send(gateway, "POST", "/queues/rollouts/dequeue");
  assert.equal(Object.keys(taken.json[0]).join(), `${names},attempt`);
  const patched = await send(gateway, "POST", `/rollouts/${taken.json[0].rollout_id}`, {});
  assert.equal(Object.keys(patched.json).join(), names);
});

test("mistakes are FastAPI's: 422 with their places, 400 for nulls, limits and orders", async () => {
  const gateway = await testGateway();
  const cases: [string, string | object | undefined, number, RegExp][] = [
    ["/queues/rollouts/enqueue", {}, 422, /"loc":\["body","rollouts"\]/],
    ["/queues/rollouts/enqueue", { rollouts: [{}] }, 422, /"rollouts",0,"input"/],
    ["/queues/rollouts/enqueue", "{", 422, /json_invalid/],
    ["/queues/rollouts/enqueue", undefined, 422, /"loc":\["body"\]/],
    ["/rollouts", { input: 1, config: { max_attempts: 0 } }, 422, /greater_than_equal/],
    ["/rollouts", { input: 1, mode: "other" }, 422, /'train', 'val' or 'test'/],
    ["/rollouts", '{"input":"\\ud800"}', 422, /"loc":\["body","input"\]/],
    ["/rollouts", { input: 1, worker_id: "a\u0000b" }, 422, /"worker_id"/],
    ["/rollouts", `{"input":${"[".repeat(3000)}${"]".repeat(3000)}}`, 422, /nested/],
    ["/rollouts/search", { status_in: "running" }, 422, /"status_in"/],
    ["/rollouts/search", { limit: 0 }, 400, /Limit must be greater than 0 or -1/],
    ["/rollouts/search", { limit: -2 }, 400, /Limit/],
    ["/rollouts/search", { offset: -1 }, 400, /Offset must be/],
    [
      "/rollouts/search",
      { sort_by: "x" },
      400,
      /Invalid sort_by: x, allowed fields are: rollout_id/,
    ],
    ["/rollouts/search", { sort_by: "config" }, 400, /no order/],
    ["/rollouts/r", { status: null }, 400, /status is invalid; it cannot be a null value/],
    ["/workers/w", { heartbeat_stats: null }, 400, /heartbeat_stats is invalid/],
    ["/resources", { a: { resource_type: "x" } }, 422, /union_tag_invalid/],
    ["/spans/search", {}, 422, /"rollout_id"/],
  ];
  for (const [path, body, status, says] of cases) {
    const answer = await send(gateway, "POST", path, body);
    assert.equal(answer.status, status, `${path} ${answer.text}`);
    assert.match(answer.text, says);
  }
  assert.equal((await send(gateway, "GET", "/workers/w")).text, "null");
  assert.deepEqual(gateway.log.records, []);
});

test("what is not there: null for reads, 404 in the reference's words for writes, 404 and 405 for paths", async () => {
  const gateway = await testGateway();
  for (const path of ["/rollouts/x", "/rollouts/x/attempts/latest", "/workers/x", "/resources/x"]) {
    assert.deepEqual(await send(gateway, "GET", path).then(({ status, text }) => [status, text]), [
      200,
      "null",
    ]);
  }
  const dead = await send(gateway, "POST", "/spans", spanBody("ro-x", "at-x"));
  assert.deepEqual(
    [dead.status, dead.json],
    [404, { detail: "Rollout ro-x not found", error_type: "ValueError" }],
  );
  const { rollout } = await started(gateway);
  const other = await send(gateway, "POST", "/spans", spanBody(rollout, "at-x"));
  assert.equal(other.json.detail, `Attempt at-x not found for rollout ${rollout}`);
  for (const path of ["/rollouts/", "/nothing", "/rollouts/a/b"]) {
    const answer = await send(gateway, "GET", path);
    assert.deepEqual([answer.status, answer.json], [404, { detail: "Not Found" }], path);
  }
  const wrong = await send(gateway, "GET", "/waits/rollouts");
  assert.deepEqual([wrong.status, wrong.json], [405, { detail: "Method Not Allowed" }]);
});

test("no body at all is fine where it may be absent, whatever its content type", async () => {
  const gateway = await testGateway();
  const { rollout } = await started(gateway);
  for (const path of [`/rollouts/${rollout}/attempts`, "/workers/w", "/queues/rollouts/dequeue"]) {
    const type = { "content-type": "application/octet-stream", "content-length": "0" };
    assert.ok([200, 201].includes((await send(gateway, "POST", path, "", type)).status), path);
  }
});

test("a span comes back as it was sent, its own fields and kinds of numbers included", async () => {
  const gateway = await testGateway();
  const { rollout, attempt } = await started(gateway);
  const context = {
    trace_id: "t",
    span_id: "s",
    is_remote: true,
    trace_state: { k: "v" },
    more: 1,
  };
  const sent = spanBody(rollout, attempt, {
    start_time: 1_760_000_000.1234567,
    end_time: 0.0,
    status: { status_code: "ERROR", description: "no", code: 7 },
    attributes: { text: 'a"b', flag: true, whole: 3, list: ["a", "b"], ints: [1, 2], empty: [] },
    events: [{ name: "e", attributes: { n: 1 }, timestamp: 1_760_000_000.5 }],
    links: [{ context, attributes: null }],
    context,
    parent: { trace_id: "t", span_id: "p", is_remote: false, trace_state: {} },
    resource: { attributes: { "service.name": "x" }, schema_url: "http://s" },
    kind: "CLIENT",
    nested: { a: [1] },
  });
  const text = JSON.stringify(sent).replace(
    '"whole":3',
    '"whole":3,"big":9007199254740993,"real":1.0,"mixed":[1,2.5],"truths":[true,1]',
  );
  const stored = await send(gateway, "POST", "/spans", text);
  assert.equal(stored.status, 201, stored.text);
  for (const part of [
    '"big":9007199254740993',
    '"real":1.0',
    '"mixed":[1.0,2.5]',
    '"truths":[true,true]',
  ]) {
    assert.ok(stored.text.includes(part), `${part} ${stored.text}`);
  }
  const { big, real, mixed, truths, ...attributes } = stored.json.attributes;
  assert.deepEqual({ ...stored.json, attributes }, sent);
  assert.equal((await send(gateway, "POST", "/spans", text)).text, "null");
  const found = await send(gateway, "GET", `/spans?rollout_id=${rollout}`);
  assert.equal(found.text, `{"items":[${stored.text}],"limit":-1,"offset":0,"total":1}`);
});

test("a first span makes the attempt run, a repeated one is no sign of life", async () => {
  const gateway = await testGateway();
  const { rollout, attempt } = await started(gateway);
  const beats = () =>
    gateway.log.records.filter(({ type }) => type === "HeartbeatRequested").length;
  await Promise.all(
    [1, 2, 3].map(() => send(gateway, "POST", "/spans", spanBody(rollout, attempt))),
  );
  assert.equal(beats(), 1);
  const { json } = await send(gateway, "GET", `/rollouts/${rollout}`);
  assert.deepEqual([json.status, json.attempt.status], ["running", "running"]);
  const late = { span_id: "span-2" };
  await send(gateway, "POST", "/spans", spanBody(rollout, attempt, late));
  assert.equal(beats(), 1, "less than a second later");
});

test("numbers of spans: one after the other, above what came with a span, for anyone who asks", async () => {
  const gateway = await testGateway();
  const { rollout, attempt } = await started(gateway);
  const next = async (rollout_id: string) =>
    (await send(gateway, "POST", "/spans/next", { rollout_id, attempt_id: "any" })).json
      .sequence_id;
  assert.deepEqual([await next(rollout), await next(rollout)], [1, 2]);
  const numbered = spanBody(rollout, attempt, { sequence_id: 100 });
  await send(gateway, "POST", "/spans", numbered);
  assert.equal(await next(rollout), 101);
  await send(gateway, "POST", "/spans", { ...numbered, sequence_id: 200 });
  assert.equal(await next(rollout), 201, "a repeated span counts, too");
  assert.deepEqual([await next("unknown"), await next("unknown")], [1, 2]);
});

test("sorting, filters and pages are the reference's", async () => {
  const gateway = await testGateway();
  const rollouts = [null, "b", "a", null].map((resources_id, i) => ({ input: i, resources_id }));
  await send(gateway, "POST", "/queues/rollouts/enqueue", { rollouts });
  const inputs = async (body: object) =>
    (await send(gateway, "POST", "/rollouts/search", body)).json.items.map(
      (one: { input: number }) => one.input,
    );
  assert.deepEqual(await inputs({ sort_by: "resources_id" }), [0, 3, 2, 1]);
  assert.deepEqual(await inputs({ sort_by: "resources_id", sort_order: "desc" }), [1, 2, 0, 3]);
  assert.deepEqual(await inputs({ status_in: [] }), []);
  assert.deepEqual(await inputs({ status_in: null, rollout_id_contains: "ro-" }), [0, 1, 2, 3]);
  assert.deepEqual(await inputs({ limit: 2, offset: 1 }), [1, 2]);
  const or = { status_in: ["running"], rollout_id_contains: "ro-", filter_logic: "or" };
  assert.deepEqual(await inputs(or), [0, 1, 2, 3]);
  const page = await send(gateway, "GET", "/rollouts?status_in=queuing&status_in=running&limit=1");
  assert.deepEqual([page.json.total, page.json.limit, page.json.offset], [4, 1, 0]);
  assert.equal((await send(gateway, "GET", "/rollouts?status_in=queuing,running")).status, 422);
});

test("ids of 300 characters and bodies of 5 MB are nothing special", async () => {
  const gateway = await testGateway();
  const id = "é".repeat(300);
  const worker = await send(gateway, "POST", `/workers/${encodeURIComponent(id)}`);
  assert.equal(worker.json.worker_id, id);
  const input = "x".repeat(5_000_000);
  const { json } = await send(gateway, "POST", "/rollouts", { input });
  assert.equal(json.input, input);
});

test("one Idempotency-Key makes one thing, however often it is sent", async () => {
  const gateway = await testGateway();
  const headers = { "content-type": "application/json", "idempotency-key": "k" };
  const ask = (path: string, body: object) => send(gateway, "POST", path, body, headers);
  const tasks = { rollouts: [{ input: 1 }, { input: 2 }] };
  const [first, second] = [
    await ask("/queues/rollouts/enqueue", tasks),
    await ask("/queues/rollouts/enqueue", tasks),
  ];
  assert.equal(first.text, second.text);
  assert.equal((await send(gateway, "GET", "/rollouts")).json.total, 2);
});

test("a project sees its own rollouts only", async () => {
  const gateway = await testGateway();
  await started(gateway);
  const url = "/projects/other/v1/agl/rollouts";
  assert.equal((await gateway.app.inject({ method: "GET", url })).json().total, 0);
});
