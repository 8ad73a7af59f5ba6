import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { codeOf } from "../../../schemas/errors.ts";
import { type Served, serveTrainer } from "../asking.ts";
import { ackBatch, extendLease, leaseBatch, nackBatch, rowOf } from "./batches.ts";

let trainer: Served;

before(async () => {
  trainer = await serveTrainer();
});

after(() => trainer.close());

describe("the client of a worker", () => {
  test("leases, extends and acknowledges a packed batch", async () => {
    const { url, add } = trainer;
    add("a");
    const batch = await leaseBatch({ url: `${url}/` }, { workerId: "w", waitSeconds: 5 });
    assert.ok(batch);
    const { lease_id } = batch.header;
    const row = rowOf(batch, 1);
    assert.deepEqual([...row.promptIds, ...row.responseIds], [1, 2, 3, 7, 8]);
    assert.deepEqual([row.advantage, row.policyVersion], [0.5, 1]);
    await extendLease({ url }, lease_id, 60);
    const blob = new Uint8Array(5);
    const trained = {
      metrics: { loss: 1 },
      resources: { resources: [{ name: "w", kind: "weights", blob }] },
    } as const;
    const answer = await ackBatch({ url }, lease_id, trained);
    assert.deepEqual(answer, { resourcesId: "policy", version: 1 });
    assert.deepEqual(await ackBatch({ url }, lease_id, trained), answer);
  });

  test("gets null when there is nothing, and an error with the trainer's code", async () => {
    const { url, add } = trainer;
    assert.equal(await leaseBatch({ url }, { workerId: "w" }), null);
    add("b");
    const batch = await leaseBatch({ url }, { workerId: "w" });
    assert.ok(batch);
    await nackBatch({ url }, batch.header.lease_id, "no memory");
    await assert.rejects(
      ackBatch({ url }, batch.header.lease_id, { metrics: {} }),
      (error) => codeOf(error) === "conflict",
    );
    const again = await leaseBatch({ url }, { workerId: "w" });
    assert.equal(again?.header.delivery, 2);
    await ackBatch({ url }, again?.header.lease_id ?? "", { metrics: {} });
  });

  test("asks again while the trainer restarts", async () => {
    let calls = 0;
    const restarting = createServer((_, response) => {
      calls += 1;
      response.writeHead(calls < 3 ? 503 : 204).end();
    });
    await new Promise<void>((resolve) => restarting.listen(0, "127.0.0.1", resolve));
    const { port: number } = restarting.address() as { port: number };
    assert.equal(await leaseBatch({ url: `http://127.0.0.1:${number}` }, { workerId: "w" }), null);
    assert.equal(calls, 3);
    restarting.closeAllConnections();
    await new Promise((resolve) => restarting.close(resolve));
    const away = { url: `http://127.0.0.1:${number}`, retrySeconds: 0.1 };
    await assert.rejects(leaseBatch(away, { workerId: "w" }), /trainer at http/);
  });
});
