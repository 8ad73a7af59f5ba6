import assert from "node:assert/strict";
import { test } from "node:test";
import { testGateway } from "../testing.ts";

const url = "/v1/agl/health";

test("origins that are named are told so, others are served without; none is the default", async () => {
  const named = await testGateway({ store: { corsOrigins: ["http://a"] } });
  const ask = async (gateway: typeof named, origin: string) =>
    (await gateway.app.inject({ method: "GET", url, headers: { origin } })).headers;
  const headers = await ask(named, "http://a");
  assert.equal(headers["access-control-allow-origin"], "http://a");
  assert.equal(headers["access-control-allow-credentials"], "true");
  assert.equal(headers["access-control-expose-headers"], "*");
  assert.equal((await ask(named, "http://b"))["access-control-allow-origin"], undefined);
  const any = await testGateway({ store: { corsOrigins: ["*"] } });
  assert.equal((await ask(any, "http://b"))["access-control-allow-origin"], "http://b");
  const off = await testGateway();
  assert.equal((await ask(off, "http://a"))["access-control-allow-origin"], undefined);
});

test("a preflight is a 200 that lasts ten minutes", async () => {
  const { app } = await testGateway({ store: { corsOrigins: ["*"] } });
  const headers = { origin: "http://a", "access-control-request-method": "POST" };
  const answer = await app.inject({ method: "OPTIONS", url, headers });
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers["access-control-max-age"], "600");
});

test("requests are counted under the reference's names, ids left out of the path", async () => {
  const { app } = await testGateway();
  await app.inject({ method: "GET", url: "/v1/agl/rollouts/ro-1" });
  const { payload } = await app.inject({ method: "GET", url: "/v1/prometheus/" });
  const path = 'path="/v1/agl/rollouts/{rollout_id}",method="GET",status="200"';
  assert.ok(
    payload.includes(`agl_http_total{${path}} 1`),
    payload.match(/agl_http_total.*/g)?.join(),
  );
});

test("calls of the store are counted by the reference's method", async () => {
  const { app } = await testGateway();
  const calls = [
    ["GET", "/rollouts/ro-1", "get_rollout_by_id", "OK"],
    ["GET", "/rollouts/ro-1/attempts/latest", "get_latest_attempt", "OK"],
    ["POST", "/rollouts/search", "query_rollouts", "OK"],
    ["POST", "/rollouts/ro-1", "update_rollout", "ValueError"],
  ] as const;
  for (const [method, path] of calls) {
    await app.inject({ method, url: `/v1/agl${path}`, ...(method === "POST" && { payload: {} }) });
  }
  await app.inject({ method: "POST", url: "/v1/agl/rollouts", payload: { input: 1, mode: 5 } });
  const { payload } = await app.inject({ method: "GET", url: "/v1/prometheus/" });
  const counted = payload.match(/^agl_store_total.*/gm) ?? [];
  assert.deepEqual(
    counted,
    calls.map(
      ([, , name, status]) =>
        `agl_store_total{method="${name}",store_pubmeth="${name}",status="${status}"} 1`,
    ),
  );
});
