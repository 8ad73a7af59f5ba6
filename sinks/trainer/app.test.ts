import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, test } from "node:test";
import { messageIn, post, trainerWith } from "./asking.ts";
import { group } from "./fixtures.ts";
import { packedMediaType, unpackBatch } from "./packed.ts";

describe("POST /v1/batches/lease", () => {
  test("answers a readable batch", async () => {
    const { app } = await trainerWith(1);
    const { status, body } = await post(app, "/v1/batches/lease", { worker_id: "w" });
    assert.equal(status, 200);
    assert.equal(body.transitions, 2);
    const [row] = body.rows as Record<string, unknown>[];
    assert.deepEqual(row?.prompt_ids, [1, 2, 3]);
    assert.deepEqual(row?.logprobs, [-0.5, -0.25]);
    assert.deepEqual(row?.loss_mask, [1, 1]);
    assert.equal(row?.messages, "[]");
  });

  test("answers a packed batch to who accepts it", async () => {
    const { app } = await trainerWith(1);
    const response = await app.inject({
      method: "POST",
      url: "/v1/batches/lease",
      headers: { accept: packedMediaType },
    });
    assert.equal(response.headers["content-type"], packedMediaType);
    const { header, arrays } = unpackBatch(response.rawPayload);
    assert.equal(header.transitions, 2);
    assert.deepEqual([...arrays.response_ids], [7, 8, 7, 8]);
  });

  test("of a policy gives the rows of that policy, and their acknowledgement is theirs alone", async () => {
    const { app, port } = await trainerWith(0);
    const [writer, , closing] = group("g", 2, {}, { policy: "writer" });
    const [, critic] = group("g", 2, {}, { policy: "critic" });
    assert.ok(writer && critic && closing);
    port.driven[0]?.append([writer, critic, closing]);
    port.run();
    const { body } = await post(app, "/v1/batches/lease", { policy: "writer" });
    assert.deepEqual(
      (body.groups as { policy: string; rows: number[] }[]).map((one) => [one.policy, one.rows]),
      [["writer", [0, 1]]],
    );
    assert.equal((await post(app, `/v1/batches/${body.lease_id}/ack`)).status, 200);
    const other = await post(app, "/v1/batches/lease", { policy: "critic" });
    assert.equal(other.body.transitions, 1);
    assert.equal((await post(app, `/v1/batches/${other.body.lease_id}/ack`)).status, 200);
    assert.equal((await post(app, "/v1/batches/lease")).status, 204);
  });

  test("is durable before it is answered", async () => {
    const { app, port } = await trainerWith(1);
    const { body } = await post(app, "/v1/batches/lease");
    assert.ok(port.driven[0]?.changelog.has(`batch/${body.batch_id}`));
    assert.deepEqual(
      port.driven[0]?.out.map(({ type }) => type),
      ["BatchLeased"],
    );
  });

  test("answers 204 when there is nothing", async () => {
    const { app } = await trainerWith(0);
    assert.equal((await post(app, "/v1/batches/lease", { wait_seconds: 0 })).status, 204);
  });

  test("waits for a group to become whole", async () => {
    const { app, port } = await trainerWith(0);
    const asked = post(app, "/v1/batches/lease", { wait_seconds: 20 });
    setTimeout(() => {
      port.driven[0]?.append(group("late", 1));
      port.run();
    }, 30);
    assert.equal((await asked).body.transitions, 1);
  });

  test("waits for another worker's lease to end", async () => {
    const { app } = await trainerWith(1);
    await post(app, "/v1/batches/lease", { lease_seconds: 0.1 });
    const { body } = await post(app, "/v1/batches/lease", { wait_seconds: 20 });
    assert.equal(body.delivery, 2);
  });

  test("stops waiting after wait_seconds, and when the trainer stops", async () => {
    const { app } = await trainerWith(0);
    assert.equal((await post(app, "/v1/batches/lease", { wait_seconds: 0.05 })).status, 204);
    const asked = post(app, "/v1/batches/lease", { wait_seconds: 60 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await app.close();
    assert.equal((await asked).status, 204);
  });

  test("gives nothing to a worker that went away while it waited", async () => {
    const { app, port } = await trainerWith(0);
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    const headers = { "content-type": "application/json" };
    const asked = request(`${url}/v1/batches/lease`, { method: "POST", headers });
    asked.on("error", () => undefined).end('{"wait_seconds":30}');
    await new Promise((resolve) => setTimeout(resolve, 100));
    asked.destroy();
    await new Promise((resolve) => setTimeout(resolve, 100));
    port.driven[0]?.append(group("late", 1));
    port.run();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(port.driven[0]?.ledger.ready.length, 1);
    await app.close();
  });

  test("gives each group to one of many workers asking at once", async () => {
    const { app } = await trainerWith(20, { beforeCommit: () => new Promise(setImmediate) });
    const asked = Array.from({ length: 30 }, () =>
      post(app, "/v1/batches/lease", { max_samples: 2 }),
    );
    const answers = await Promise.all(asked);
    const groups = answers.flatMap(({ body }) =>
      ((body.groups ?? []) as { group_id: string }[]).map(({ group_id }) => group_id),
    );
    assert.equal(groups.length, 20);
    assert.equal(new Set(groups).size, 20);
  });

  test("takes turns between partitions", async () => {
    const { app, port } = await trainerWith(1, { partitions: 2 });
    port.driven[1]?.append(group("other", 1));
    port.run();
    const first = await post(app, "/v1/batches/lease");
    const second = await post(app, "/v1/batches/lease");
    assert.equal(new Set([first.body.batch_id, second.body.batch_id]).size, 2);
  });

  for (const [body, field] of [
    [{ max_samples: "5" }, 'max_samples: read "5"'],
    [{ max_samples: 0 }, "max_samples: read 0"],
    [{ max_sample: 5 }, "max_sample: read 5, allowed is no such field"],
    [{ max_samples: 4, min_samples: 5 }, "min_samples: read 5"],
    [{ mode: "test" }, 'mode: read "test", allowed is "train"'],
    [{ wait_seconds: 1e9 }, "wait_seconds: read 1000000000"],
    [{ equal_rewards: "no" }, "equal_rewards"],
    [{ policy: 1 }, "policy"],
    [{ project: "../x" }, "project"],
    [[], "body: read []"],
    ["{", "body: not JSON"],
  ] as const) {
    test(`refuses ${JSON.stringify(body)} naming the field`, async () => {
      const { app } = await trainerWith(0);
      const answer = await post(app, "/v1/batches/lease", body);
      assert.equal(answer.status, 400);
      assert.ok(messageIn(answer).includes(field), messageIn(answer));
    });
  }
});

describe("projects", () => {
  test("do not see each other", async () => {
    const { app, port } = await trainerWith(1);
    assert.equal((await post(app, "/projects/other/v1/batches/lease")).status, 204);
    port.driven[0]?.append(group("o", 3, { project: "other" }));
    port.run();
    const { body } = await post(app, "/projects/other/v1/batches/lease");
    assert.equal(body.transitions, 3);
    const mine = `/projects/mine/v1/batches/${body.lease_id}/ack`;
    assert.equal((await post(app, mine)).status, 404);
    assert.equal((await post(app, `/projects/other/v1/batches/${body.lease_id}/ack`)).status, 200);
  });

  test("can be named in the body at the root, not against the path", async () => {
    const { app } = await trainerWith(0);
    const answer = await post(app, "/projects/a/v1/batches/lease", { project: "b" });
    assert.equal(answer.status, 400);
  });
});

describe("the rest", () => {
  test("extend moves the end of a lease, nack gives its groups back", async () => {
    const { app } = await trainerWith(1, {}, { clock: () => 1000 });
    const { body } = await post(app, "/v1/batches/lease", { lease_seconds: 1 });
    const base = `/v1/batches/${body.lease_id}`;
    const extended = await post(app, `${base}/extend`, { lease_seconds: 60 });
    assert.equal(extended.body.expires_at, "1970-01-01T00:01:01.000Z");
    assert.equal((await post(app, `${base}/nack`, { reason: "oom" })).status, 200);
    assert.equal((await post(app, "/v1/batches/lease")).body.delivery, 2);
  });

  test("status says what waits and who has what", async () => {
    const { app } = await trainerWith(2);
    await post(app, "/v1/batches/lease", { worker_id: "w", max_samples: 2 });
    const { partitions, leases } = (await app.inject("/v1/status")).json();
    assert.deepEqual(partitions[0].waiting, { "default/train": 1 });
    assert.equal(leases[0].worker_id, "w");
    assert.deepEqual((await app.inject("/projects/other/v1/status")).json().leases, []);
  });

  test("other media types and paths are refused", async () => {
    const { app } = await trainerWith(0);
    const url = "/v1/batches/lease";
    const xml = { method: "POST", url, headers: { "content-type": "text/xml" }, payload: "<a/>" };
    assert.equal((await app.inject(xml as { method: "POST"; url: string })).statusCode, 415);
    const accept = await app.inject({ method: "POST", url, headers: { accept: "text/xml" } });
    assert.equal(accept.statusCode, 415);
    assert.equal((await app.inject("/v1/nothing")).statusCode, 404);
  });
});
