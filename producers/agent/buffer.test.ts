import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { codeOf, LightningError } from "../../schemas/errors.ts";
import { emitMessage } from "./emit.ts";
import type { Log } from "./losses.ts";
import { operation } from "./operation.ts";
import { memoryLightning, spansOf } from "./test-log.ts";

const away = new LightningError("kafka-unavailable", "no broker");
const ids = { rolloutId: "ro-buffer", attemptId: "at-1" };

/** Collects what is said. */
function listener(): { readonly log: Log; readonly said: [string, string, number][] } {
  const said: [string, string, number][] = [];
  return {
    said,
    log: (level, message, fields) => said.push([level, message, Number(fields.count)]),
  };
}

function bodies(log: Parameters<typeof spansOf>[0]): (string | undefined)[] {
  return spansOf(log).map((span) => span.attributes.strings["agentlightning.message.body"]);
}

test("while the broker is away spans are kept, and sent once and in order when it is back", async () => {
  const { log, lightning } = memoryLightning();
  log.failure = away;
  await lightning.withAttempt(ids, async () => {
    for (let i = 0; i < 500; i++) await emitMessage(`${i}`);
  });
  await sleep(150);
  assert.deepEqual([log.records.length, lightning.stats().buffered], [0, 500]);
  log.failure = undefined;
  await lightning.flush();
  assert.deepEqual(
    bodies(log),
    Array.from({ length: 500 }, (_, i) => `${i}`),
  );
  const { buffered, bufferedBytes, sent, dropped, refused } = lightning.stats();
  assert.deepEqual([buffered, bufferedBytes, sent, dropped, refused], [0, 0, 500, 0, 0]);
  await lightning.shutdown();
});

test("an outage at any moment loses nothing and repeats no more than identities", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          spans: fc.integer({ min: 1, max: 9 }),
          broker: fc.constantFrom("up", "away", "answer lost"),
        }),
        {
          minLength: 1,
          maxLength: 12,
        },
      ),
      async (phases) => {
        const { log, lightning } = memoryLightning({
          buffer: { batchSpans: 4, lingerMs: 0 },
        });
        let made = 0;
        for (const { spans, broker } of phases) {
          log.failure = broker === "up" ? undefined : away;
          log.answerLost = broker === "answer lost";
          await lightning.withAttempt(ids, async () => {
            for (let i = 0; i < spans; i++) await emitMessage(`${made++}`);
          });
          await sleep(0);
        }
        log.failure = undefined;
        await lightning.shutdown();
        assert.deepEqual(
          [...new Set(bodies(log))],
          Array.from({ length: made }, (_, i) => `${i}`),
        );
        const identities = new Set(spansOf(log).map(({ span_id }) => span_id));
        assert.equal(identities.size, made);
      },
    ),
    { numRuns: 25 },
  );
});

test("a full buffer makes emitters and operations wait, and memory stays bounded", async () => {
  const { log, lightning } = memoryLightning({ buffer: { maxSpans: 10, whenFull: "block" } });
  log.failure = away;
  let emitted = 0;
  const step = operation(async function step(i: number) {
    return i;
  });
  const agent = lightning.withAttempt(ids, async () => {
    for (; emitted < 100; emitted++) await (emitted % 2 === 0 ? emitMessage("x") : step(emitted));
  });
  await sleep(50);
  assert.deepEqual([emitted, lightning.stats().buffered], [9, 10]);
  log.failure = undefined;
  await agent;
  await lightning.flush();
  assert.deepEqual([spansOf(log).length, lightning.stats().dropped], [100, 0]);
  await lightning.shutdown();
});

test("code that waits for nobody gets twice the limit, then spans are dropped and counted", async () => {
  const { log: words, said } = listener();
  const { log, lightning } = memoryLightning({ buffer: { maxSpans: 10, log: words } });
  log.failure = away;
  lightning.withAttempt(ids, () => {
    for (let i = 0; i < 50; i++) void emitMessage(`${i}`);
  });
  assert.deepEqual([lightning.stats().buffered, lightning.stats().dropped], [20, 30]);
  log.failure = undefined;
  await lightning.shutdown();
  assert.equal(spansOf(log).length, 20);
  const drops = said.filter(([, message]) => message.startsWith("spans dropped"));
  assert.deepEqual(
    drops.map(([level, , count]) => [level, count]),
    [
      ["error", 1],
      ["error", 29],
    ],
  );
});

test("told to drop, nothing waits, and every loss is counted and said once an interval", async () => {
  const { log: words, said } = listener();
  const { log, lightning } = memoryLightning({
    buffer: { maxSpans: 10, whenFull: "drop", log: words, logEveryMs: 30 },
  });
  log.failure = away;
  await lightning.withAttempt(ids, async () => {
    for (let i = 0; i < 100; i++) await emitMessage(`${i}`);
  });
  assert.deepEqual([lightning.stats().buffered, lightning.stats().dropped], [10, 90]);
  await sleep(80);
  const drops = said.filter(([, message]) => message.startsWith("spans dropped"));
  assert.deepEqual(
    drops.map(([, , count]) => count),
    [1, 89],
  );
  log.failure = undefined;
  await lightning.shutdown();
});

test("the bound on bytes holds as the one on spans does", async () => {
  const { log, lightning } = memoryLightning({
    buffer: { maxBytes: 100_000, whenFull: "drop" },
  });
  log.failure = away;
  const text = "x".repeat(20_000);
  await lightning.withAttempt(ids, async () => {
    for (let i = 0; i < 20; i++) await emitMessage(text);
  });
  const { buffered, bufferedBytes, dropped } = lightning.stats();
  assert.ok(bufferedBytes <= 100_000 && buffered >= 4, `${buffered} spans, ${bufferedBytes} bytes`);
  assert.equal(buffered + dropped, 20);
  log.failure = undefined;
  await lightning.shutdown();
});

test("flush says what is wrong when time is up, and the spans are still sent later", async () => {
  const { log, lightning } = memoryLightning();
  log.failure = away;
  await lightning.withAttempt(ids, () => emitMessage("kept"));
  await assert.rejects(lightning.flush(20), (error) => {
    assert.equal(codeOf(error), "deadline-passed");
    assert.match(String(error), /1 spans not acknowledged by log within 20 ms: no broker/);
    return (error as Error).cause === away;
  });
  log.failure = undefined;
  await lightning.flush();
  assert.deepEqual(bodies(log), ["kept"]);
  await lightning.shutdown();
});

test("a span nobody takes is found, counted and reported; the others arrive", async () => {
  const { log: words, said } = listener();
  const { log, lightning } = memoryLightning({ buffer: { log: words } });
  const { append } = log;
  const picky: typeof append = async (records) => {
    const bad = records.some((r) => JSON.stringify(r.value).includes("poison"));
    if (bad) throw new LightningError("too-large", "a record has 17 MiB");
    await append(records);
  };
  const other = memoryLightning({
    transport: (await import("./log-exporter.ts")).createLogExporter({ append: picky }),
    buffer: { log: words },
  });
  await other.lightning.withAttempt(ids, async () => {
    for (let i = 0; i < 40; i++) await emitMessage(i === 17 ? "poison" : `${i}`);
  });
  await assert.rejects(other.lightning.flush(), (error) => {
    return codeOf(error) === "too-large" && /1 spans were refused/.test(String(error));
  });
  await other.lightning.flush();
  assert.equal(spansOf(log).length, 39);
  assert.deepEqual([other.lightning.stats().sent, other.lightning.stats().refused], [39, 1]);
  assert.deepEqual(said, [["error", "spans refused and lost", 1]]);
  await Promise.all([lightning.shutdown(), other.lightning.shutdown()]);
});

test("shutting down while the broker is away counts and says what is lost", async () => {
  const { log: words, said } = listener();
  const { log, lightning } = memoryLightning({ buffer: { log: words, flushTimeoutMs: 20 } });
  log.failure = away;
  await lightning.withAttempt(ids, () => emitMessage("lost"));
  await assert.rejects(lightning.shutdown(), (error) => codeOf(error) === "deadline-passed");
  assert.equal(lightning.stats().refused, 1);
  assert.ok(said.some(([level, text]) => level === "error" && text === "spans refused and lost"));
});
