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
