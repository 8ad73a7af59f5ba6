import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { codeOf, LightningError } from "../../schemas/errors.ts";
import { type Answer, messageIn, post, trainerWith } from "./asking.ts";
import { packAcknowledgement } from "./worker/batches.ts";

describe("POST /v1/batches/:lease/ack", () => {
  const weights = { name: "policy", kind: "weights" as const, blob: Buffer.from([1, 2, 3]) };

  test("writes version, batch and rows together and answers the version", async () => {
    const { app, port } = await trainerWith(1);
    const { body } = await post(app, "/v1/batches/lease");
    const trained = {
      metrics: { loss: 0.5 },
      resources: { resourcesId: "p", resources: [weights] },
    };
    const url = `/v1/batches/${body.lease_id}/ack`;
    const answer = await post(app, url, packAcknowledgement(trained));
    assert.deepEqual([answer.status, answer.body.resources_id, answer.body.version], [200, "p", 1]);
    const [, updated, batch] = port.driven[0]?.out ?? [];
    assert.ok(updated?.type === "ResourcesUpdated" && batch?.type === "BatchTrained");
    assert.deepEqual(updated.value.resources[0]?.blob, weights.blob);
    assert.deepEqual({ ...batch.value.metrics }, { loss: 0.5 });
    assert.equal(batch.value.resources_version, 1);
    assert.equal(port.driven[0]?.committed, 3);
    const again = await post(app, url, packAcknowledgement(trained));
    assert.deepEqual(again, answer);
    assert.equal(port.driven[0]?.out.length, 3);
  });

  test("keeps resources it does not name and counts versions up", async () => {
    const { app, port } = await trainerWith(2);
    const give = async (name: string): Promise<Answer> => {
      const { body } = await post(app, "/v1/batches/lease", { max_samples: 2 });
      const blob = Buffer.from(name).toString("base64");
      const resources = [{ name, kind: "weights", json: { n: 1 }, blob }];
      return post(app, `/v1/batches/${body.lease_id}/ack`, { resources: { resources } });
    };
    assert.equal((await give("a")).body.version, 1);
    assert.equal((await give("b")).body.version, 2);
    const set = port.resources("default", "policy");
    assert.deepEqual(
      set?.resources.map(({ name }) => name),
      ["a", "b"],
    );
  });

  test("makes no version without resources", async () => {
    const { app } = await trainerWith(1);
    const { body } = await post(app, "/v1/batches/lease");
    const answer = await post(app, `/v1/batches/${body.lease_id}/ack`, { metrics: {} });
    assert.deepEqual([answer.body.resources_id, answer.body.version], [null, null]);
  });

  test("is 404 for a lease nobody knows, 409 when its groups went elsewhere", async () => {
    let now = 1000;
    const { app } = await trainerWith(1, {}, { clock: () => now });
    for (const id of ["x", "0-99-1"]) {
      assert.equal((await post(app, `/v1/batches/${id}/ack`)).status, 404);
    }
    const lost = await post(app, "/v1/batches/7-0-1/ack");
    assert.equal((lost.body.error as { code: string }).code, "partition-lost");
    const { body } = await post(app, "/v1/batches/lease", { lease_seconds: 1 });
    now += 1000;
    await post(app, "/v1/batches/lease");
    assert.equal((await post(app, `/v1/batches/${body.lease_id}/ack`)).status, 409);
  });

  test("that failed to commit counts for nothing and can be repeated", async () => {
    let away = false;
    const beforeCommit = async (): Promise<void> => {
      if (away) throw new LightningError("commit-indefinite", "the broker did not answer");
    };
    const { app, port } = await trainerWith(1, { beforeCommit });
    const { body } = await post(app, "/v1/batches/lease");
    away = true;
    const url = `/v1/batches/${body.lease_id}/ack`;
    assert.equal((await post(app, url)).status, 503);
    away = false;
    port.run();
    assert.equal((await post(app, url)).status, 200);
    assert.equal(port.driven[0]?.out.filter(({ type }) => type === "BatchTrained").length, 1);
  });

  for (const [body, field] of [
    [{ metrics: { loss: "low" } }, 'metrics.loss: read "low"'],
    ['{"metrics":{"loss":1e999}}', "metrics.loss: read Infinity"],
    ['{"metrics":{"loss":NaN}}', "NaN and Infinity are no JSON numbers"],
    [{ metrics: [1] }, "metrics: read [1]"],
    [{ resources: { resources: [] } }, "resources.resources: read []"],
    [{ resources: { resources: [{ name: "a", kind: "gpu" }] } }, "resources.resources[0].kind"],
    [
      { resources: { resources: [{ name: "a", kind: "weights", blob: "%%%%" }] } },
      "resources.resources[0].blob",
    ],
    [{ resources: { resources: [{ name: "a", kind: "llm", json: "x" }] } }, "[0].json"],
    [Buffer.from("nonsense"), "body: first bytes"],
    [Buffer.from("LSA1\xff\xff\xff\x7f", "latin1"), "body: header has"],
    [Buffer.from("LSA1\x02\0\0\0{x", "latin1"), "body: header is not JSON"],
  ] as const) {
    test(`refuses ${field}`, async () => {
      const { app } = await trainerWith(1);
      const leased = await post(app, "/v1/batches/lease");
      const answer = await post(app, `/v1/batches/${leased.body.lease_id}/ack`, body);
      assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.ok(messageIn(answer).includes(field), messageIn(answer));
    });
  }

  test("takes weights of 15 MB and refuses what no record holds", async () => {
    const { app } = await trainerWith(2);
    const sizes = [
      [15_000_000, 200],
      [17_000_000, 413],
    ] as const;
    for (const [bytes, status] of sizes) {
      const leased = await post(app, "/v1/batches/lease", { max_samples: 2 });
      const resources = { resources: [{ ...weights, blob: Buffer.alloc(bytes) }] };
      const body = packAcknowledgement({ metrics: {}, resources });
      const answer = await post(app, `/v1/batches/${leased.body.lease_id}/ack`, body);
      assert.equal(answer.status, status, messageIn(answer));
    }
  });

  test("an answer in flight is not given before the first commit is durable", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let hold = false;
    const { app } = await trainerWith(1, { beforeCommit: () => (hold ? held : Promise.resolve()) });
    const { body } = await post(app, "/v1/batches/lease");
    hold = true;
    const url = `/v1/batches/${body.lease_id}/ack`;
    const answers: number[] = [];
    const both = [post(app, url), post(app, url)].map((one) =>
      one.then(({ status }) => answers.push(status)),
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.deepEqual(answers, []);
    release();
    await Promise.all(both);
    assert.deepEqual(answers, [200, 200]);
  });

  test("a metric that is no number is refused before it is sent", () => {
    assert.throws(
      () => packAcknowledgement({ metrics: { loss: Number.NaN } }),
      (error) => codeOf(error) === "request-invalid",
    );
  });
});
