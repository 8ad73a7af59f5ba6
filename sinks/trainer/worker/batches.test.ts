import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { FastifyInstance } from "fastify";
import { codeOf } from "../../../schemas/errors.ts";
import { buildTrainer } from "../app.ts";
import { type DrivenTrainer, driveTrainer } from "../drive.ts";
import { group } from "../fixtures.ts";
import { ackBatch, extendLease, leaseBatch, nackBatch, rowOf } from "./batches.ts";

const run = promisify(execFile);

let app: FastifyInstance;
let port: DrivenTrainer;
let url: string;

before(async () => {
  port = await driveTrainer();
  app = buildTrainer(port);
  url = await app.listen({ port: 0, host: "127.0.0.1" });
});

after(() => app.close());

function add(id: string): void {
  port.driven[0]?.append(group(id, 2, { min_policy_version: 1 }, { policy_version: 1 }));
  port.run();
}

describe("the client of a worker", () => {
  test("leases, extends and acknowledges a packed batch", async () => {
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

const cache = fileURLToPath(
  new URL("../../../node_modules/.cache/lightning-python", import.meta.url),
);

/** A Python with numpy: the system's, else one in a virtual environment under the cache folder. */
async function pythonWithNumpy(): Promise<string | null> {
  const works = (python: string, code: string): Promise<boolean> =>
    run(python, ["-c", code]).then(
      () => true,
      () => false,
    );
  if (!(await works("python3", "pass"))) return null;
  if (await works("python3", "import numpy")) return "python3";
  const python = `${cache}/bin/python3`;
  if (existsSync(python) && (await works(python, "import numpy"))) return python;
  mkdirSync(cache, { recursive: true });
  // Debian's python3 comes without ensurepip when python3-venv is missing; its own pip serves then.
  if (await works("python3", "import ensurepip")) await run("python3", ["-m", "venv", cache]);
  else await run("python3", ["-m", "venv", "--without-pip", "--system-site-packages", cache]);
  await run(python, ["-m", "pip", "install", "--quiet", "numpy"], { timeout: 300_000 });
  return python;
}

describe("worker.py", () => {
  const script = fileURLToPath(new URL("worker.py", import.meta.url));

  test("leases, reads the arrays in place and acknowledges, with numpy alone", async (t) => {
    const python = await pythonWithNumpy();
    if (python === null) return t.skip("python3 is missing");
    add("c");
    const first = run(python, [script, url, "--batches", "2", "--wait", "20"]);
    setTimeout(() => add("d"), 500);
    const lines = (await first).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(lines.length, 2);
    assert.deepEqual(lines[0].shapes.response_ids, [4]);
    assert.deepEqual(lines[0].shapes.response_offsets, [3]);
    assert.deepEqual(lines[0].metrics, { tokens: 4, mean_advantage: 0.5 });
    assert.equal(lines[1].version, lines[0].version + 1);
    const set = port.resources("default", "policy");
    const blob = set?.resources.find(({ name }) => name === "weights")?.blob;
    assert.equal(blob?.length, 64 * 4);
    const step = new DataView(new Uint8Array(blob ?? []).buffer).getFloat32(7 * 4, true);
    assert.ok(step > 0, "the rewarded token became no likelier");
  });

  test("says what the trainer said when it is refused", async (t) => {
    const python = await pythonWithNumpy();
    if (python === null) return t.skip("python3 is missing");
    await assert.rejects(run(python, [script, `${url}/projects/..bad`]), /letters, digits/);
    await assert.rejects(run(python, [script, url, "--wait", "0"]), /no batch within/);
  });
});
