import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { testGateway } from "../testing.ts";
import { storeRequests } from "./fuzzing.ts";

test("nothing anyone sends to the store API is a 5xx, and every answer can be read", async () => {
  const gateway = await testGateway();
  const url = "/v1/agl/rollouts";
  const made = await gateway.app.inject({ method: "POST", url, payload: { input: 1 } });
  const ids = { rollout: made.json().rollout_id, attempt: made.json().attempt.attempt_id };
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(storeRequests(ids), async ({ method, path, body }) => {
      const answer = await gateway.app.inject({
        method,
        url: `/v1/agl${path}`,
        headers: { "content-type": "application/json" },
        ...(body === null ? {} : { payload: body }),
      });
      const what = `${method} ${path} ${body}: ${answer.payload.slice(0, 500)}`;
      assert.ok(answer.statusCode < 500, what);
      const json = answer.json();
      if (answer.statusCode >= 400) assert.ok(json.detail.length > 0, what);
      else accepted += 1;
    }),
    { numRuns: 700, endOnFailure: true },
  );
  assert.ok(accepted > 70, `only ${accepted} requests were near enough to be taken`);
  assert.deepEqual(
    gateway.lines.filter((line) => line.includes("a request failed")),
    [],
  );
});
