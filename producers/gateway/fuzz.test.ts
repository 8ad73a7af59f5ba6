import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exportRequest, owner, span } from "./otlp/testing.ts";
import { testGateway } from "./testing.ts";

const api = "/api/v1/rollouts";

/** Every address that takes a body. */
const doors: readonly (readonly ["POST" | "PUT", string])[] = [
  ["POST", "/v1/traces"],
  ["POST", "/rollout/r/attempt/at-1/v1/traces"],
  ["POST", "/rollout/r/attempt/at-1/v1/chat/completions"],
  ["POST", "/rollout/r/attempt/at-1/v1/completions"],
  ["POST", api],
  ["POST", `${api}/claim`],
  ["POST", `${api}/r/cancel`],
  ["POST", `${api}/r/attempts/at-1/end`],
  ["POST", `${api}/r/attempts/at-1/heartbeat`],
  ["POST", `${api}/r/attempts/at-1/rewards`],
  ["PUT", "/api/v1/resources"],
  ["PUT", "/api/v1/resources/s"],
  ["PUT", "/api/v1/settings"],
  ["POST", "/api/v1/sql"],
];

const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom("__proto__", -0, 1e308, 2 ** 53, "\u0000", "\ud800", "latest", null),
);
const key = fc.constantFrom(
  "input",
  "rollout_id",
  "group_size",
  "config",
  "metadata",
  "value",
  "primary",
  "status",
  "resources",
  "kind",
  "credit",
  "query",
  "limit",
  "messages",
  "model",
  "stream",
  "resourceSpans",
  "scopeSpans",
  "spans",
  "attributes",
  "traceId",
  "__proto__",
  "constructor",
);
const { body } = fc.letrec<{ body: unknown }>((tie) => ({
  body: fc.oneof(
    { maxDepth: 4 },
    value,
    fc.dictionary(key, tie("body"), { maxKeys: 5 }),
    fc.array(tie("body"), { maxLength: 3 }),
  ),
}));

test("no JSON at any door is a 5xx", async () => {
  const gateway = await testGateway({
    proxy: { foldLagMs: 0, fetch: async () => Response.json({}) },
  });
  await gateway.claimed("r");
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...doors), body, async ([method, url], json) => {
      const payload = JSON.stringify(json);
      const headers = { "content-type": "application/json" };
      const answer = await gateway.app.inject({ method, url, payload, headers });
      assert.ok(answer.statusCode < 500, `${method} ${url} ${payload}: ${answer.payload}`);
      if (answer.statusCode >= 400 && !url.endsWith("/traces")) {
        assert.ok(answer.json().error.message.length > 0);
      }
    }),
    { numRuns: 600 },
  );
  assert.deepEqual(
    gateway.lines.filter((line) => line.includes("a request failed")),
    [],
  );
});

test("no bytes at the OTLP door are a 5xx, and what is kept can be read back", async () => {
  const gateway = await testGateway();
  const nested = { a: [1n, { b: [0.5, Buffer.from([1])] }], t: [1n, 2n], s: "x".repeat(200) };
  const good = exportRequest([span({ attributes: nested }), span()], owner);
  const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(flips, fc.nat(good.length), async (changes, cut) => {
      const payload = Buffer.from(good);
      for (const [at, byte] of changes) payload[at] = byte;
      const cutAt = cut % 4 === 0 ? cut : good.length;
      const answer = await gateway.app.inject({
        method: "POST",
        url: "/v1/traces",
        payload: payload.subarray(0, cutAt),
        headers: { "content-type": "application/x-protobuf" },
      });
      // The log of a test decodes every record it takes: a 200 means they were readable.
      assert.ok([200, 400].includes(answer.statusCode), `${answer.statusCode} ${answer.payload}`);
    }),
    { numRuns: 1000 },
  );
  assert.deepEqual(
    gateway.lines.filter((line) => line.includes("a request failed")),
    [],
  );
});

test("no path is a 5xx", async () => {
  const gateway = await testGateway({ proxy: { foldLagMs: 0 } });
  const part = fc.oneof(
    fc.constantFrom(
      "api",
      "v1",
      "rollouts",
      "projects",
      "rollout",
      "attempt",
      "wait",
      "..",
      "%00",
      "%ff",
      "%2F",
    ),
    fc.string({ maxLength: 20 }).map(encodeURIComponent),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
      const answer = await gateway.app.inject({ method: "GET", url: `/${parts.join("/")}` });
      assert.ok(answer.statusCode < 500, `${parts.join("/")} ${answer.payload}`);
    }),
    { numRuns: 300 },
  );
});
