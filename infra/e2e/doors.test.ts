import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { freePort, type RoleProcess, type Stack, startRoleProcess, startStack } from "./stack.ts";
import { recordsOf } from "./verify.ts";

let stack: Stack;
let gateway: RoleProcess;
let url: string;

before(async () => {
  stack = await startStack();
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  gateway = startRoleProcess(stack, ["gateway", "track-rollouts", "clickhouse"], {
    args: ["--port", String(port)],
  });
  await gateway.ready();
});

after(async () => {
  await gateway?.stop();
  await stack?.close();
});

type Answer = { readonly status: number; readonly text: string };

async function post(
  path: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return { status: response.status, text: await response.text() };
}

const json = (path: string, body: unknown): Promise<Answer> => post(path, JSON.stringify(body));

/** Resident memory of the gateway, MiB. */
function residentMb(): number {
  const status = readFileSync(`/proc/${gateway.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

const otlp = { "content-type": "application/x-protobuf" };
const gzipped = { "content-encoding": "gzip" };

/** Far less than the bombs would unpack to (2 GB), more than a busy collector leaves behind. */
const boundMb = 300;

describe("bodies that are too large", () => {
  const large = Buffer.alloc(50 * 1024 * 1024, " ");
  const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
  const cases = [
    ["50 MB of JSON", "/api/v1/rollouts", large, {}],
    ["50 MB of OTLP", "/v1/traces", large, otlp],
    ["a gzip bomb of JSON", "/api/v1/rollouts", bomb, gzipped],
    ["a gzip bomb of OTLP", "/v1/traces", bomb, { ...otlp, ...gzipped }],
  ] as const;
  for (const [what, path, body, headers] of cases) {
    test(`${what} is a 413, and the gateway's memory stays bounded`, async () => {
      const before = residentMb();
      for (let i = 0; i < 10; i++) {
        const { status, text } = await answered(() => post(path, body, headers));
        assert.equal(status, 413, text);
      }
      const grown = residentMb() - before;
      assert.ok(grown < boundMb, `memory grew by ${grown} MiB`);
    });
  }
});

/** A server that answers before it has read everything may cut the upload: then it is asked again. */
async function answered(ask: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 20) throw error;
      await sleep(50);
    }
  }
}

describe("bodies that make no sense", () => {
  const cases: readonly (readonly [string, string, string | Buffer, number, RegExp])[] = [
    ["broken JSON", "/api/v1/rollouts", "{", 400, /JSON/],
    ["a wrong type", "/api/v1/rollouts", '{"input":1,"group_size":"many"}', 400, /group_size/],
    ["an unknown field", "/api/v1/rollouts", '{"input":1,"colour":"red"}', 400, /colour/],
    ["no input", "/api/v1/rollouts", "{}", 400, /input/],
    [
      "unknown resources",
      "/api/v1/rollouts",
      '{"input":1,"resources_id":"x"}',
      404,
      /resources_id/,
    ],
    ["an unknown rollout", "/api/v1/rollouts/nowhere/cancel", "{}", 404, /nowhere/],
    [
      "an end of what nobody knows",
      "/api/v1/rollouts/nowhere/attempts/a/end",
      '{"status":"succeeded"}',
      404,
      /nowhere/,
    ],
    ["a negative limit", "/api/v1/rollouts/claim", '{"limit":-1}', 400, /limit/],
    [
      "an insert",
      "/api/v1/sql",
      '{"query":"INSERT INTO spans SELECT * FROM spans"}',
      400,
      /SELECT/i,
    ],
    ["a drop", "/api/v1/sql", '{"query":"DROP TABLE spans"}', 400, /SELECT/i],
    ["two statements", "/api/v1/sql", '{"query":"SELECT 1; DROP TABLE spans"}', 400, /./],
    ["a file", "/api/v1/sql", `{"query":"SELECT * FROM file('/etc/passwd')"}`, 400, /./],
    ["bad SQL", "/api/v1/sql", '{"query":"SELECT FROM WHERE"}', 400, /./],
  ];
  for (const [what, path, body, status, says] of cases) {
    test(`${what} is a ${status} that says what is wrong`, async () => {
      const answer = await post(path, body);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, says);
    });
  }

  test("protobuf that is none is a 400", async () => {
    const { status, text } = await post("/v1/traces", Buffer.alloc(1000, 0xff), otlp);
    assert.equal(status, 400, text);
  });

  test("bytes that are not gzip are a 400", async () => {
    const { status, text } = await post("/api/v1/rollouts", Buffer.from("plain"), gzipped);
    assert.equal(status, 400, text);
  });
});

test("a reward that is no finite number is a 400 and leaves no span", async () => {
  await json("/api/v1/rollouts", { rollout_id: "nan", input: 1, start: true });
  const path = "/api/v1/rollouts/nan/attempts/latest/rewards";
  for (const body of [
    '{"value":NaN}',
    '{"value":1e999}',
    '{"value":"NaN"}',
    '{"value":{"a":null}}',
  ]) {
    const { status, text } = await post(path, body);
    assert.equal(status, 400, `${body} → ${text}`);
  }
  assert.equal((await post(path, '{"value":0.5}')).status, 201);
  const spans = (await recordsOf(stack, "spans")).filter(({ key }) => key === "default/nan");
  assert.equal(spans.length, 1);
});

test("after all of that the gateway answers as before", async () => {
  assert.equal(gateway.deaths, 0);
  assert.equal((await json("/api/v1/rollouts", { rollout_id: "after", input: 1 })).status, 201);
  const { status, text } = await json("/api/v1/sql", { query: "SELECT 1 AS one" });
  assert.equal(status, 200, text);
});

test("connections on which nothing is said do not hold up the end of a gateway", async () => {
  const port = await freePort();
  const other = startRoleProcess(stack, ["gateway"], { args: ["--port", String(port)] });
  await other.ready();
  const silent = Array.from({ length: 3 }, () => connect(port, "127.0.0.1"));
  for (const socket of silent) socket.on("error", () => undefined);
  await sleep(500);
  const started = Date.now();
  await other.stop();
  const took = Date.now() - started;
  for (const socket of silent) socket.destroy();
  assert.ok(took < 10_000, `the gateway took ${took} ms to end`);
});
