import assert from "node:assert/strict";
import { test } from "node:test";
import * as agent from "lightning-stream/agent";
import { codeOf } from "../schemas/errors.ts";

const away = { brokers: ["127.0.0.1:1"], registryUrl: "http://127.0.0.1:1" };

test("the library is imported by the package's name, whole", () => {
  const offered = Object.entries(agent).filter(([, value]) => typeof value === "function");
  assert.deepEqual(offered.map(([name]) => name).sort(), [
    "LightningError",
    "asSpanExporter",
    "createKafkaExporter",
    "createKafkaLightning",
    "createLightning",
    "createOtlpExporter",
    "createStampProcessor",
    "currentAttempt",
    "emitAnnotation",
    "emitException",
    "emitMessage",
    "emitObject",
    "emitReward",
    "fromSpanExporter",
    "instrumentOpenAI",
    "links",
    "operation",
    "recordingFetch",
    "tags",
    "withAttempt",
    "withOperation",
  ]);
});

for (const [field, options] of [
  ["brokers", { ...away, brokers: [] }],
  ["brokers", { ...away, brokers: ["kafka"] }],
  ["brokers", { ...away, brokers: ["http://kafka:9092"] }],
  ["registryUrl", { ...away, registryUrl: "registry:8081" }],
] as const) {
  test(`${JSON.stringify(options)} is refused at once, naming ${field}`, () => {
    assert.throws(
      () => agent.createKafkaExporter(options),
      (error) => codeOf(error) === "config-invalid" && String(error).includes(`${field}: read`),
    );
  });
}

test("while the registry is away spans wait, flush says why, and what shutdown loses is counted", async () => {
  const said: string[] = [];
  const lightning = agent.createKafkaLightning({
    kafka: away,
    gatewayUrl: "http://127.0.0.1:1/projects/lab",
    exitHooks: false,
    buffer: { flushTimeoutMs: 300, log: (_level, message) => said.push(message) },
  });
  assert.equal(lightning.project, "lab");
  const ids = { rolloutId: "ro-1", attemptId: "at-1" };
  await lightning.withAttempt(ids, () => agent.emitReward(1));
  await assert.rejects(lightning.flush(), (error) => codeOf(error) === "deadline-passed");
  assert.equal(lightning.stats().buffered, 1);
  await assert.rejects(lightning.shutdown(), (error) => codeOf(error) === "deadline-passed");
  assert.deepEqual([lightning.stats().sent, lightning.stats().refused], [0, 1]);
  assert.ok(said.length > 0);
});
