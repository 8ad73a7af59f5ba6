import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../../schemas/errors.ts";
import { topics } from "../../schemas/topics.ts";
import { rowsOf } from "../../sinks/clickhouse/client.ts";
import { duplicates } from "../../sinks/clickhouse/queries-figures.ts";
import { ackBatch, type Batch, leaseBatch } from "../../sinks/trainer/worker/batches.ts";
import type { FaultPoint } from "../faults.ts";
import { seeded } from "./load.ts";
import {
  clickHouseOfStack,
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import {
  type Answered,
  appendGroups,
  checkAnswers,
  checkHistory,
  checkVersions,
  readTraining,
  startTrainerProcess,
  work,
} from "./training.ts";

/** Printed with every failure; put it here to repeat a run. */
const seed = Math.floor(Math.random() * 2 ** 31);
const random = seeded(seed);

let stack: Stack;
let clickhouse: RoleProcess;
let port: number;
const groups: string[] = [];

before(async () => {
  stack = await startStack();
  await stack.context.codec.prepare("transitions", topics.transitions.records);
  clickhouse = startRoleProcess(stack, ["clickhouse"]);
  port = await freePort();
});

after(async () => {
  await clickhouse?.stop();
  await stack?.close();
});

const address = () => ({ url: `http://127.0.0.1:${port}`, retrySeconds: 30 });

/** Waits until the log says that every group appended so far is trained. */
async function allTrained(withinMs: number): Promise<void> {
  let missing: string[] = [];
  await until(
    () => `${missing.length} groups are not trained: ${missing.slice(0, 5)} (seed ${seed})`,
    withinMs,
    async () => {
      const { trained } = await readTraining(stack);
      const done = new Set(trained.flatMap((batch) => batch.groups));
      missing = groups.filter((id) => !done.has(id));
      return missing.length === 0;
    },
  );
}

describe("a trainer killed with -9", () => {
  const points: FaultPoint[] = [
    "lease-granted",
    "ack-received",
    "before-send",
    "sent",
    "changelog-sent",
    "offsets-added",
    "committed",
  ];
  const answered: Answered = new Map();

  for (const point of points) {
    test(`at ${point} goes on where it was: every group is trained`, async () => {
      const fault = `${point}:${1 + Math.floor(random() * 6)}`;
      const trainer = startTrainerProcess(stack, port, fault);
      const end = new AbortController();
      const workers = ["a", "b"].map((name) =>
        work(address(), `${point} ${name}`, random, answered, end.signal),
      );
      try {
        groups.push(...(await appendGroups(stack, point, 25)));
        await until(
          () => `nobody died at ${fault} (seed ${seed})`,
          30_000,
          async () => trainer.deaths > 0,
        );
        await Promise.race([allTrained(60_000), ...workers]);
      } finally {
        end.abort();
        await Promise.all(workers);
        await trainer.stop();
      }
      assert.equal(trainer.deaths, 1, `deaths at ${fault}`);
    });
  }

  test("leaves a history in which nothing was trained twice, and no version is missing", async () => {
    const log = await readTraining(stack);
    const trained = log.trained.flatMap((batch) => batch.groups).sort();
    assert.deepEqual(trained, [...groups].sort(), `groups trained (seed ${seed})`);
    checkHistory(log.batches);
    checkVersions(log);
    checkAnswers(answered, log.trained);
    assert.ok(log.resources.length > 0 && answered.size > 0);
  });
});

describe("a lease", () => {
  let trainer: RoleProcess;
  before(async () => {
    trainer = startTrainerProcess(stack, port);
    await trainer.ready();
  });
  after(() => trainer?.stop());

  const lease = async (workerId: string, leaseSeconds: number): Promise<Batch> => {
    const batch = await leaseBatch(address(), { workerId, leaseSeconds, waitSeconds: 20 });
    assert.ok(batch !== null, `${workerId} got nothing`);
    return batch;
  };
  const idsOf = ({ header }: Batch): string[] => header.groups.map(({ group_id }) => group_id);
  const weights = { resources: [{ name: "w", kind: "weights" as const, blob: Buffer.from("w") }] };

  test("whose worker died is given out again after its time, as the second delivery; the dead one's acknowledgement is a conflict", async () => {
    groups.push(...(await appendGroups(stack, "expiry", 1)));
    const first = await lease("dies", 1);
    const leasedAt = Date.now();
    assert.equal(first.header.delivery, 1);
    const second = await lease("heir", 60);
    assert.ok(Date.now() - leasedAt >= 900, "not before the lease was over");
    assert.deepEqual([second.header.delivery, idsOf(second)], [2, idsOf(first)]);
    await assert.rejects(
      ackBatch(address(), first.header.lease_id, { metrics: {} }),
      (error) => codeOf(error) === "conflict",
    );
    await ackBatch(address(), second.header.lease_id, { metrics: {} });
  });

  test("that expired is still acknowledged while nobody else has its groups", async () => {
    groups.push(...(await appendGroups(stack, "late", 1)));
    const { header } = await lease("late", 1);
    await sleep(2000);
    await ackBatch(address(), header.lease_id, { metrics: {} });
  });

  test("acknowledged twice gets the same answer, also by a trainer started in between", async () => {
    groups.push(...(await appendGroups(stack, "twice", 1)));
    const { header } = await lease("twice", 60);
    const trained = { metrics: { loss: 1 }, resources: { resourcesId: "policy", ...weights } };
    const first = await ackBatch(address(), header.lease_id, trained);
    assert.deepEqual(await ackBatch(address(), header.lease_id, trained), first);
    trainer.signal("SIGKILL");
    await until(
      () => "the trainer did not die",
      5000,
      async () => trainer.deaths > 0,
    );
    assert.deepEqual(await ackBatch(address(), header.lease_id, trained), first);
  });

  test("outlives its trainer: the next one takes the acknowledgement and gives nothing out meanwhile", async () => {
    groups.push(...(await appendGroups(stack, "outlives", 1)));
    const { header } = await lease("outlives", 60);
    const deaths = trainer.deaths;
    trainer.signal("SIGKILL");
    await until(
      () => "the trainer did not die",
      5000,
      async () => trainer.deaths > deaths,
    );
    assert.equal(await leaseBatch(address(), { workerId: "other", waitSeconds: 2 }), null);
    await ackBatch(address(), header.lease_id, { metrics: {} });
  });
});

test("ClickHouse has the same batches as Kafka, each once", async () => {
  await allTrained(30_000);
  const log = await readTraining(stack);
  checkHistory(log.batches);
  checkVersions(log);
  const client = clickHouseOfStack(stack);
  const expected = log.batches
    .flatMap(({ record }) => {
      if (record?.type === "BatchLeased") return [[record.value.batch_id, "leased"]];
      if (record?.type === "BatchTrained") return [[record.value.batch_id, "trained"]];
      return record?.type === "BatchReturned" ? [[record.value.batch_id, record.value.reason]] : [];
    })
    .map((row) => row.join(" "))
    .sort();
  let rows: string[] = [];
  try {
    await until(
      () => `ClickHouse has ${rows.length} of ${expected.length} batch records`,
      30_000,
      async () => {
        const found = await rowsOf<{ row: string }>(
          client,
          "SELECT concat(batch_id, ' ', event) AS row FROM batches ORDER BY row",
        );
        rows = found.map(({ row }) => row).sort();
        return rows.length >= expected.length;
      },
    );
    assert.deepEqual(rows, expected);
    const twice = Object.entries(await duplicates(client)).filter(([, n]) => n !== 0);
    assert.deepEqual(twice, [], "tables with rows twice");
    const [sums] = await rowsOf<{ trained: number; versions: number }>(
      client,
      `SELECT toInt64(sumIf(length(groups), event = 'trained')) AS trained,
         (SELECT toInt64(count()) FROM resources) AS versions FROM batches`,
    );
    assert.deepEqual(sums, { trained: groups.length, versions: log.resources.length });
  } finally {
    await client.close();
  }
});
