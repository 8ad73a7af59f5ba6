import assert from "node:assert/strict";
import { test } from "node:test";
import { type TestGateway, testGateway } from "../testing.ts";

type Method = "GET" | "POST" | "PUT";

async function ask({ app }: TestGateway, method: Method, url: string, body?: object) {
  const answer = await app.inject({
    method,
    url,
    ...(body === undefined ? {} : { payload: body }),
  });
  return { status: answer.statusCode, body: answer.json() };
}

const path = "/api/v1/rollouts";

test("settings that are left out stay, and are shown as they are put", async () => {
  const gateway = await testGateway();
  const fresh = await ask(gateway, "GET", "/api/v1/settings");
  assert.deepEqual(fresh.body.selection, {});
  const selection = { agents: [{ match: "critic", policy: "" }] };
  const credit = { strategy: "final-reward", parameters: {}, options: { failed: "exclude" } };
  await ask(gateway, "PUT", "/api/v1/settings", { selection });
  const { status, body } = await ask(gateway, "PUT", "/api/v1/settings", { credit });
  assert.deepEqual([status, body.selection, body.credit], [200, selection, credit]);
});

test("a task's own selection and credit go before the project's", async () => {
  const gateway = await testGateway();
  const selection = { agents: [{ match: "writer", policy: "writer" }] };
  await ask(gateway, "PUT", "/api/v1/settings", { selection });
  const own = { agents: [] };
  const credit = { strategy: "group-relative" };
  const { body } = await ask(gateway, "POST", "/api/v1/rollouts", [
    { input: 1 },
    { input: 2, selection: own, credit },
  ]);
  assert.deepEqual(
    body.map((one: { selection: unknown }) => one.selection),
    [selection, own],
  );
  assert.deepEqual(
    body.map((one: { credit: { strategy: string } }) => one.credit.strategy),
    ["final-reward", "group-relative"],
  );
});

/** Method, address, body, field named, message. */
const mistakes: readonly [Method, string, object, string, RegExp][] = [
  ["PUT", "/api/v1/settings", { selection: [] }, "selection", /a list of 0, must be object/],
  [
    "PUT",
    "/api/v1/settings",
    { selection: { a: 1 } },

    "selection",
    /^selection: read a, must/,
  ],
  [
    "PUT",
    "/api/v1/settings",
    { selection: { agents: "x".repeat(16_400) } },

    "selection",
    /allowed are 16384/,
  ],
  ["POST", path, { input: 1, selection: { a: 1 } }, "selection", /read a/],
  [
    "POST",
    path,
    [{ input: 1, credit: { strategy: "x" } }, { input: 2 }],

    "[0].credit.strategy",
    /^\[0\]\.credit\.strategy: read x/,
  ],
  ["POST", path, { input: 1, credit: {} }, "credit.strategy", /is missing/],
];

test("a choice that nobody understands is a 400 that names the field", async () => {
  const gateway = await testGateway();
  for (const [method, url, body, field, message] of mistakes) {
    const answer = await ask(gateway, method, url, body);
    const label = `${method} ${url} ${JSON.stringify(body).slice(0, 60)}`;
    assert.equal(answer.status, 400, label);
    assert.equal(answer.body.error.field, field, label);
    assert.match(answer.body.error.message, message, label);
  }
});
