import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { context, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { codeOf } from "../../schemas/errors.ts";
import { attributesToObject } from "../attributes.ts";
import { withAttempt } from "./attempt.ts";
import { emitMessage } from "./emit.ts";
import { createLightning } from "./lightning.ts";
import { withOperation } from "./operation.ts";
import { createStampProcessor, stampOf } from "./stamp.ts";
import { memoryLightning, spansOf } from "./test-log.ts";

const ids = { rolloutId: "ro-1", attemptId: "at-1" };

test("spans of any instrumented framework come along, with parents, ids and all attributes", async () => {
  const { log, lightning } = memoryLightning({ register: true });
  const framework = trace
    .getTracerProvider()
    .getTracer("some-framework", "1.2.3", { schemaUrl: "https://schema/1" });
  const attributes = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`p.${i}`, i]));
  framework.startSpan("before any rollout").end();
  await lightning.withAttempt({ ...ids, rolloutId: "ro-chain" }, () =>
    framework.startActiveSpan("chain", { attributes }, async (chain) => {
      await sleep(1);
      framework.startSpan("llm", { kind: 2 }).end();
      await emitMessage("inside");
      chain.end();
    }),
  );
  assert.throws(
    () =>
      createLightning({ transport: { name: "x", send: async () => ({ count: 0, reason: "" }) } }),
    (error) => codeOf(error) === "config-invalid",
  );
  assert.equal(lightning.stats().outside, 1);
  await lightning.shutdown();
  const spans = spansOf(log);
  const [llm, message, chain] = spans;
  assert.deepEqual(
    spans.map(({ name, sequence_id }) => [name, sequence_id]),
    [
      ["llm", 2],
      ["agentlightning.message", 3],
      ["chain", 1],
    ],
  );
  assert.deepEqual([llm?.parent_id, message?.parent_id], [chain?.span_id, chain?.span_id]);
  assert.deepEqual(
    [llm?.kind, llm?.scope_name, llm?.scope_version],
    ["CLIENT", "some-framework", "1.2.3"],
  );
  assert.equal(llm?.extra, '{"scope_schema_url":"https://schema/1"}');
  assert.equal(
    Object.keys(chain?.attributes.longs ?? {}).filter((k) => k.startsWith("p.")).length,
    300,
  );
});

test("with a provider of one's own, whatever its limits, spans are stamped and delivered", async () => {
  const { log, lightning } = memoryLightning();
  const provider = new BasicTracerProvider({
    spanLimits: { attributeCountLimit: 2 },
    spanProcessors: [lightning.spanProcessor],
  });
  const attributes = { a: 1, b: 2, c: 3 };
  lightning.withAttempt(ids, () => {
    provider.getTracer("own").startSpan("limited", { attributes }).end();
  });
  await provider.forceFlush();
  const [span] = spansOf(log);
  assert.deepEqual([span?.rollout_id, span?.attempt_id], ["ro-1", "at-1"]);
  assert.equal(span?.dropped_attributes, 5);
  const shown = attributesToObject(span?.attributes ?? assert.fail("no span"));
  assert.equal(shown["agentlightning.rollout_id"], "ro-1");
  await lightning.shutdown();
});

test("spans outside of any rollout are left out and counted, or passed when told to", async () => {
  for (const outside of ["drop", "pass"] as const) {
    const passed: string[] = [];
    const transport = {
      name: "names",
      async send(spans: readonly { readonly name: string }[]) {
        passed.push(...spans.map(({ name }) => name));
        return { count: 0, reason: "" };
      },
    };
    const { lightning } = memoryLightning({ outside, transport });
    const provider = new BasicTracerProvider({ spanProcessors: [lightning.spanProcessor] });
    provider.getTracer("own").startSpan("stray").end();
    await lightning.flush();
    assert.deepEqual(passed, outside === "pass" ? ["stray"] : []);
    assert.equal(lightning.stats().outside, outside === "pass" ? 0 : 1);
    await lightning.shutdown();
  }
});

test("a span that names its own rollout keeps it, one started from a captured context follows it", async () => {
  const { log, lightning } = memoryLightning();
  const provider = new BasicTracerProvider({ spanProcessors: [lightning.spanProcessor] });
  const tracer = provider.getTracer("own");
  const first = { rolloutId: "ro-first", attemptId: "at-1" };
  const captured = lightning.withAttempt(first, () => context.active());
  lightning.withAttempt({ rolloutId: "ro-2", attemptId: "at-2" }, () => {
    const own = { "agentlightning.rollout_id": "ro-9", "agentlightning.attempt_id": "at-9" };
    tracer.startSpan("own", { attributes: own }).end();
    tracer.startSpan("captured", {}, captured).end();
    tracer.startSpan("root", { root: true }, ROOT_CONTEXT).end();
  });
  await lightning.shutdown();
  assert.deepEqual(
    spansOf(log).map(({ name, rollout_id, sequence_id }) => [name, rollout_id, sequence_id]),
    [
      ["own", "ro-9", null],
      ["captured", "ro-first", 1],
      ["root", "ro-2", 1],
    ],
  );
});

test("an attempt opened inside another starts a tree of its own", async () => {
  const { log, lightning } = memoryLightning();
  await lightning.withAttempt({ rolloutId: "outer", attemptId: "a" }, async () => {
    await withOperation({ name: "outer" }, async () => {
      await lightning.withAttempt({ rolloutId: "inner", attemptId: "a" }, () => emitMessage("in"));
      await emitMessage("out");
    });
  });
  await lightning.shutdown();
  const [inner, outer] = spansOf(log);
  assert.deepEqual([inner?.rollout_id, inner?.parent_id], ["inner", null]);
  assert.equal(outer?.rollout_id, "outer");
  assert.notEqual(outer?.parent_id, null);
});

test("the stamp processor alone serves exporters of others", () => {
  const seen: unknown[] = [];
  const provider = new BasicTracerProvider({
    spanProcessors: [
      createStampProcessor(),
      {
        onStart: () => undefined,
        onEnd: (span) =>
          seen.push(span.attributes["agentlightning.rollout_id"], stampOf(span, "p")),
        forceFlush: async () => undefined,
        shutdown: async () => undefined,
      },
    ],
  });
  withAttempt({ rolloutId: "ro-st", attemptId: "at-1" }, () =>
    provider.getTracer("own").startSpan("x").end(),
  );
  const attempt = { project: "default", rolloutId: "ro-st", attemptId: "at-1" };
  assert.deepEqual(seen, ["ro-st", { attempt, sequenceId: 1 }]);
});
