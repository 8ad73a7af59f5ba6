import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { codeOf } from "../../schemas/errors.ts";
import { createAppender } from "../kafka/append.ts";
import type { Compression, KafkaClient } from "../kafka/client.ts";
import { openFence } from "../kafka/transaction.ts";
import { expectValues, startBroker, type TestBroker, valuesFrom } from "./broker.ts";

let broker: TestBroker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.close());

/** Node writes zstd from 22.15 on; everything else is written everywhere. */
const canZstd = "zstdCompressSync" in (await import("node:zlib")).default;
const written: Compression[] = [
  "none",
  "gzip",
  "snappy",
  "lz4",
  ...(canZstd ? ["zstd" as const] : []),
];
const read = ["uncompressed", "gzip", "snappy", "lz4", "zstd"];

/** From one byte to more than one block of each codec, and what does not compress. */
const values = ["x", "span ".repeat(50_000), randomBytes(300_000).toString("base64")];

async function append(client: KafkaClient, topic: string, list: readonly string[]): Promise<void> {
  const appender = createAppender(client);
  try {
    await appender.append(list.map((value) => ({ topic, key: "k", value: Buffer.from(value) })));
  } finally {
    await appender.close();
  }
}

describe("compression", () => {
  for (const compression of written) {
    test(`${compression}: what we write, the broker's Java and kafkajs as it comes can read`, async () => {
      // The broker unpacks what comes in another codec than its topic's, and packs it itself.
      const topic = await broker.newTopic({ "compression.type": "uncompressed" });
      await append(broker.clientWith({ compression }), topic, values);
      assert.deepEqual(await readUnpatched(topic), values);
    });
  }

  for (const type of read) {
    test(`${type}: what the broker's Java writes, we read`, async () => {
      const topic = await broker.newTopic({ "compression.type": type });
      const compression = type === "gzip" ? "none" : "gzip";
      await append(broker.clientWith({ compression }), topic, values);
      assert.deepEqual(await valuesFrom(broker.client, topic), values);
    });
  }

  for (const compression of written) {
    test(`${compression}: what we write stays as it is, and we read it`, async () => {
      const topic = await broker.newTopic();
      await append(broker.clientWith({ compression }), topic, values);
      assert.deepEqual(await valuesFrom(broker.client, topic), values);
      if (compression === "none" || compression === "gzip") {
        assert.deepEqual(await readUnpatched(topic), values);
      }
    });
  }

  test("zstd on a Node that cannot write it says which variable to change", {
    skip: canZstd && "this Node can",
  }, async () => {
    const topic = await broker.newTopic();
    const client = broker.clientWith({ compression: "zstd" });
    await assert.rejects(
      append(client, topic, ["x"]),
      (error) => codeOf(error) === "config-invalid",
    );
  });
});

/** The topic's values, by a process that has kafkajs and nothing of ours. */
async function readUnpatched(topic: string): Promise<string[]> {
  const script = fileURLToPath(new URL("plain-consumer.cjs", import.meta.url));
  const child = fork(script, [broker.kafka.brokers, topic, String(values.length)], {
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [read] = (await once(child, "message")) as [string[]];
  await once(child, "exit");
  return read;
}

describe("size", () => {
  const sizes = [1, 8, 15].map((mb) => mb * 1024 * 1024);
  for (const size of sizes) {
    test(`a record of ${size / 1024 / 1024} MiB that does not compress arrives whole, both ways of writing`, async () => {
      const topic = await broker.newTopic();
      const value = randomBytes(size);
      const outgoing = { topic, key: "k", value };
      const appender = createAppender(broker.client);
      await appender.append([outgoing, { topic, key: "k", value: Buffer.from("behind") }]);
      await appender.close();
      const fence = await openFence(broker.client, `size ${topic}`);
      const transaction = await fence.begin();
      await transaction.send([outgoing, { topic, key: "k", value: Buffer.from("behind") }]);
      await transaction.commit();
      await fence.close();
      const text = value.toString("utf8");
      await expectValues(broker.client, topic, [text, "behind", text, "behind"]);
    });
  }

  test("a record larger than the topic takes is refused as too-large, and the next one is written", async () => {
    const topic = await broker.newTopic();
    const appender = createAppender(broker.client);
    const value = randomBytes(17 * 1024 * 1024);
    await assert.rejects(
      appender.append([{ topic, key: "k", value }]),
      (error) => codeOf(error) === "too-large",
    );
    await appender.append([{ topic, key: "k", value: Buffer.from("fits") }]);
    await appender.close();
    assert.deepEqual(await valuesFrom(broker.client, topic), ["fits"]);
  });
});
