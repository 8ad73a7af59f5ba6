import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { codeOf } from "../../schemas/errors.ts";
import { inputPosition } from "../input-position.ts";
import { withAdmin } from "../kafka/admin.ts";
import { createAppender } from "../kafka/append.ts";
import { kafkajs } from "../kafka/patches.ts";
import { openReader } from "../kafka/reader.ts";
import { type Fence, type FencedTransaction, openFence } from "../kafka/transaction.ts";
import {
  endOf,
  expectValues,
  fetchAll,
  startBroker,
  type TestBroker,
  textOf,
  valuesFrom,
} from "./broker.ts";
import { seeded } from "./load.ts";
import { until } from "./stack.ts";

let broker: TestBroker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.close());

const seed = Math.floor(Math.random() * 2 ** 31);
const record = (topic: string, value: string) => ({ topic, key: "k", value: Buffer.from(value) });

async function write(fence: Fence, topic: string, value: string): Promise<void> {
  const transaction = await fence.begin();
  await transaction.send([record(topic, value)]);
  await transaction.commit();
}

describe("opening a fence ends the one before it", () => {
  const predecessors = ["never wrote", "committed", "has a transaction open"] as const;
  for (const predecessor of predecessors) {
    for (const heir of ["never writes", "writes"] as const) {
      test(`the predecessor ${predecessor}, the heir ${heir}: the zombie's commit is fenced`, async () => {
        const topic = await broker.newTopic();
        const id = `fence ${topic}`;
        const old = await openFence(broker.client, id);
        let open: FencedTransaction | undefined;
        if (predecessor === "committed") await write(old, topic, "before");
        if (predecessor === "has a transaction open") {
          open = await old.begin();
          await open.send([record(topic, "zombie")]);
        }
        const fresh = await openFence(broker.client, id);
        if (heir === "writes") await write(fresh, topic, "heir");
        await assert.rejects(
          async () => {
            const transaction = open ?? (await old.begin());
            if (open === undefined) await transaction.send([record(topic, "zombie")]);
            await transaction.commit();
          },
          (error) => codeOf(error) === "fenced",
        );
        const expected = [
          ...(predecessor === "committed" ? ["before"] : []),
          ...(heir === "writes" ? ["heir"] : []),
        ];
        await write(fresh, topic, "goes on");
        await expectValues(broker.client, topic, [...expected, "goes on"]);
        await Promise.all([old.close(), fresh.close()]);
      });
    }
  }

  test("an offset alone does not get past it either", async () => {
    const topic = await broker.newTopic();
    const old = await openFence(broker.client, `offsets ${topic}`);
    const fresh = await openFence(broker.client, `offsets ${topic}`);
    await assert.rejects(
      async () => {
        const transaction = await old.begin();
        await transaction.sendOffset({ group: "g", topic, partition: 0, offset: 5 });
        await transaction.commit();
      },
      (error) => codeOf(error) === "fenced",
    );
    await Promise.all([old.close(), fresh.close()]);
  });
});

describe("a read_committed reader", () => {
  test("never sees aborted records, wherever its fetch begins", async () => {
    const topic = await broker.newTopic();
    const random = seeded(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const ids = Array.from({ length: 3 }, (_, i) => `interleaved ${topic} ${i}`);
    const fences = await Promise.all(ids.map((id) => openFence(broker.client, id)));
    const open = new Map<number, { transaction: FencedTransaction; values: number[] }>();
    const committed: number[] = [];
    const end = async (i: number, commits: boolean): Promise<void> => {
      const ending = open.get(i);
      if (ending === undefined) return;
      open.delete(i);
      if (commits) {
        await ending.transaction.commit();
        committed.push(...ending.values);
      } else {
        await fences[i]?.close();
        fences[i] = await openFence(broker.client, ids[i] ?? "");
      }
    };
    for (let n = 0; n < 50; n++) {
      const i = pick(fences.length);
      const fence = fences[i];
      if (fence === undefined) continue;
      if (random() < 0.3) await end(i, random() < 0.5);
      else {
        const current = open.get(i) ?? { transaction: await fence.begin(), values: [] };
        open.set(i, current);
        current.values.push(n);
        await current.transaction.send([record(topic, String(n))]);
      }
    }
    for (const i of [...open.keys()]) await end(i, i === 0);
    await expectValues(broker.client, topic, committed.sort((a, b) => a - b).map(String));
    const whole = (await fetchAll(broker.client, topic)).flatMap(({ records }) => records);
    for (let from = 0; from < (await endOf(broker.client, topic)); from++) {
      assert.deepEqual(
        await valuesFrom(broker.client, topic, { from, maxBytes: from % 2 === 0 ? 1 : 4096 }),
        whole.filter(({ offset }) => offset >= from).map(textOf),
        `from ${from} (seed ${seed})`,
      );
    }
    await Promise.all(fences.map((fence) => fence.close()));
  });

  test("waits behind a killed process's transaction only until the heir opens the fence", async () => {
    const topic = await broker.newTopic();
    const script = fileURLToPath(new URL("open-transaction.ts", import.meta.url));
    const args = [broker.kafka.brokers, `killed ${topic}`, topic];
    const child = fork(script, args, { execArgv: ["--import", "tsx"] });
    await once(child, "message");
    child.kill("SIGKILL");
    await once(child, "exit");
    const appender = createAppender(broker.client);
    await appender.append([record(topic, "behind it")]);
    await appender.close();
    await sleep(1000);
    assert.deepEqual(await valuesFrom(broker.client, topic), [], "held back");
    const heir = await openFence(broker.client, `killed ${topic}`);
    await expectValues(broker.client, topic, ["behind it"]);
    await heir.close();
  });

  test("is told data-lost when retention removed what it had not read", async () => {
    const topic = await broker.newTopic();
    const appender = createAppender(broker.client);
    for (const value of ["a", "b", "c"]) await appender.append([record(topic, value)]);
    await appender.close();
    await withAdmin(broker.client, async (admin) => {
      // kafkajs deletes only in topics it has asked about before.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "2" }] });
    });
    const reader = openReader(broker.client, { topic, partition: 0, from: 1 });
    await assert.rejects(reader.next(), (error) => codeOf(error) === "data-lost");
    await reader.close();
    assert.deepEqual(await valuesFrom(broker.client, topic, { from: 2 }), ["c"]);
    const input = { reader: "reads", topic, partition: 0 };
    const at = (position: number | undefined, acceptDataLoss: boolean) =>
      inputPosition(
        { client: broker.client, logger: pino({ level: "silent" }), acceptDataLoss },
        input,
        position,
      );
    assert.equal(await at(undefined, false), 2, "who never read begins with what there is");
    assert.equal(await at(3, false), 3, "nothing new is no gap");
    await assert.rejects(at(1, false), /reads has read up to offset 1, .* before 2; LIGHTNING_ACC/);
    await assert.rejects(at(9, false), /the log ends at 3/);
    assert.equal(await at(1, true), 2);
    assert.equal(await at(9, true), 2, "a log that was made anew is read from its start");
  });

  test("passes over a batch that compaction emptied", async () => {
    const topic = await compactedTopic();
    const whole = await endOf(broker.client, topic);
    const read = () => fetchAll(broker.client, topic, { maxBytes: 1 });
    let emptied: number[] = [];
    await until(
      () => `the cleaner has emptied no batch, ${whole} offsets stand`,
      60_000,
      async () => {
        const answers = await read();
        const starts = [0, ...answers.map(({ nextOffset }) => nextOffset)];
        emptied = answers.flatMap(({ records, nextOffset }, i) =>
          records.length === 0 && nextOffset > (starts[i] ?? 0) ? [starts[i] ?? 0] : [],
        );
        return emptied.length > 0;
      },
    );
    const values = (await valuesFrom(broker.client, topic, { maxBytes: 1 })).slice(-2);
    assert.deepEqual(values, ["newest", "in the active segment"]);
    for (const from of emptied) {
      assert.deepEqual(
        (await valuesFrom(broker.client, topic, { from, maxBytes: 1 })).slice(-2),
        values,
      );
    }
  });
});

/** A topic whose first batches are overwritten, in segments the cleaner may take. */
async function compactedTopic(): Promise<string> {
  const topic = await broker.newTopic({
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.0001",
    "delete.retention.ms": "0",
  });
  await withAdmin(broker.client, (admin) =>
    // Its default lets an idle cleaner look every 15 s.
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.BROKER,
          name: "1",
          configEntries: [{ name: "log.cleaner.backoff.ms", value: "200" }],
        },
      ],
    }),
  );
  // The broker keeps the last batch of each producer for its sequence number, empty or not.
  for (const value of ["old", "older than the newest", "newest"]) {
    const appender = createAppender(broker.client);
    await appender.append([record(topic, value)]);
    await appender.close();
    await sleep(150);
  }
  const appender = createAppender(broker.client);
  await appender.append([{ topic, key: "other", value: Buffer.from("in the active segment") }]);
  await appender.close();
  return topic;
}
