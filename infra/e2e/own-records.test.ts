import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createCodec } from "../../schemas/codec.ts";
import { bundled, recordNames } from "../../schemas/records.ts";
import { tailPartition } from "../fold-partition.ts";
import { type Appender, createAppender } from "../kafka/append.ts";
import { openFence } from "../kafka/transaction.ts";
import { startBroker, type TestBroker } from "./broker.ts";
import { seeded } from "./load.ts";
import { until } from "./stack.ts";

let broker: TestBroker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.close());

const codec = createCodec({
  idOf: async (_subject, schema) =>
    1 + recordNames.findIndex((name) => bundled[name].text === schema),
  schemaOf: async () => "",
});

async function recordsOf(topic: string, name: string, count: number) {
  await codec.prepare(topic, ["TimerSet"]);
  return Array.from({ length: count }, (_, i) => ({
    topic,
    key: `${name}-${i}`,
    value: codec.encode(topic, { type: "TimerSet", value: { wake_at: i } }),
  }));
}

/** A fold of the topic's one partition by a process that appends with `appender`. */
async function follow(topic: string, appender: Appender) {
  const seen: { offset: number; key: string }[] = [];
  const fail = (error: Error): void => assert.fail(error);
  const tail = tailPartition(
    broker.client,
    codec,
    { topic, partition: 0, from: 0, appender },
    ({ offset, key, record }) => {
      assert.equal(record?.type, "TimerSet");
      seen.push({ offset, key });
    },
    fail,
  );
  await tail.caughtUp;
  return { seen, tail };
}

test("what a process appends it has folded when the append is answered", async () => {
  const topic = await broker.newTopic();
  const appender = createAppender(broker.client);
  const { seen, tail } = await follow(topic, appender);
  const records = await recordsOf(topic, "own", 50);
  for (const record of records) {
    await appender.append([record]);
    assert.equal(seen.at(-1)?.key, record.key);
  }
  await tail.close();
  await appender.close();
  assert.deepEqual(
    seen.map(({ key }) => key),
    records.map(({ key }) => key),
  );
});

test("between others' records and transactions, every record is folded once, in the log's order", async () => {
  const topic = await broker.newTopic();
  const [mine, theirs] = [createAppender(broker.client), createAppender(broker.client)];
  const { seen, tail } = await follow(topic, mine);
  const fence = await openFence(broker.client, `among ${topic}`);
  const random = seeded(11);
  const pause = () => new Promise((go) => setTimeout(go, random() * 12));
  const write = async (name: string, append: (record: never) => Promise<unknown>) => {
    for (const record of await recordsOf(topic, name, 60)) {
      await append(record as never);
      if (random() < 0.7) await pause();
    }
  };
  await Promise.all([
    write("mine", (record) => mine.append([record])),
    write("theirs", (record) => theirs.append([record])),
    write("fenced", async (record) => {
      const transaction = await fence.begin();
      await transaction.send([record]);
      await pause();
      await transaction.commit();
    }),
  ]);
  await until(
    () => `${seen.length} of 180 folded`,
    10_000,
    async () => seen.length >= 180,
  );
  await tail.close();
  await Promise.all([mine.close(), theirs.close(), fence.close()]);
  const offsets = seen.map(({ offset }) => offset);
  assert.deepEqual(
    offsets,
    [...offsets].sort((a, b) => a - b),
    "in the log's order",
  );
  assert.equal(new Set(seen.map(({ key }) => key)).size, 180, "each once");
  assert.equal(seen.length, 180);
});
