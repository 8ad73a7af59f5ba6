import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, LightningError } from "../../schemas/errors.ts";
import { currentAttempt } from "./attempt.ts";
import { emitMessage, emitReward } from "./emit.ts";
import { loopbackGateway } from "./test-gateway.ts";
import { memoryLightning, spansOf } from "./test-log.ts";

test("a rollout is started, run in its context, delivered, and only then ended", async () => {
  const gateway = await loopbackGateway();
  const { log, lightning } = memoryLightning({
    gatewayUrl: gateway.url,
    buffer: { lingerMs: 500 },
  });
  let delivered = -1;
  gateway.onEnd = () => {
    delivered = log.records.length;
  };
  const answer = await lightning.rollout({ people: 4 }, async (rollout) => {
    assert.deepEqual(rollout.input, { people: 4 });
    assert.equal(rollout.openaiBaseUrl, `${gateway.url}/rollout/ro-1/attempt/at-ro-1/v1`);
    assert.equal(currentAttempt()?.attemptId, "at-ro-1");
    await emitReward(1);
    await emitMessage("booked");
    return 42;
  });
  assert.deepEqual([answer, delivered], [42, 2]);
  assert.equal(gateway.ended.get("ro-1")?.status, "succeeded");
  await lightning.shutdown();
  await gateway.close();
});

test("what a caller chooses for a rollout reaches the gateway in its own words", async () => {
  const gateway = await loopbackGateway();
  const { lightning } = memoryLightning({ gatewayUrl: gateway.url });
  const credit = { strategy: "discounted", parameters: { gamma: 0.5 } };
  const selection = { agents: [{ match: "writer", policy: "writer" }] };
  await lightning.rollout(1, async () => 1, { groupId: "g", groupSize: 2, credit, selection });
  const started = JSON.parse(gateway.seen[0]?.body.toString() ?? "{}");
  assert.deepEqual(
    [started.group_id, started.group_size, started.credit, started.selection],
    ["g", 2, credit, selection],
  );
  await lightning.shutdown();
  await gateway.close();
});

test("a rollout that throws ends failed, with its spans, and the error is thrown on", async () => {
  const gateway = await loopbackGateway();
  const { log, lightning } = memoryLightning({ gatewayUrl: gateway.url });
  const run = lightning.rollout("x", async () => {
    await emitMessage("before");
    throw new TypeError("no room");
  });
  await assert.rejects(run, /no room/);
  assert.deepEqual(gateway.ended.get("ro-1")?.error, "TypeError: no room");
  assert.equal(log.records.length, 1);
  await lightning.shutdown();
  await gateway.close();
});

test("a rollout whose spans are not delivered is no success", async () => {
  const gateway = await loopbackGateway();
  const { log, lightning } = memoryLightning({
    gatewayUrl: gateway.url,
    buffer: { flushTimeoutMs: 30 },
  });
  log.failure = new LightningError("kafka-unavailable", "no broker");
  const run = lightning.rollout("x", () => emitMessage("stuck"));
  await assert.rejects(run, (error) => codeOf(error) === "deadline-passed");
  assert.match(gateway.ended.get("ro-1")?.error ?? "", /not acknowledged.*no broker/);
  log.failure = undefined;
  await lightning.flush(5_000);
  await lightning.shutdown();
  await gateway.close();
});

test("an end that comes too late is a conflict, and a busy gateway is asked again", async () => {
  const gateway = await loopbackGateway();
  const { lightning } = memoryLightning({ gatewayUrl: gateway.url });
  gateway.troubles.push(503, 503);
  gateway.ended.set("ro-1", { status: "timeout", error: null });
  const run = lightning.rollout("x", () => 1);
  await assert.rejects(run, (error) => codeOf(error) === "conflict");
  const starts = gateway.seen.filter(({ path }) => path.endsWith("/rollouts"));
  const requestIds = starts.map(({ body }) => JSON.parse(body.toString()).request_id);
  assert.deepEqual([starts.length, new Set(requestIds).size], [3, 1]);
  await lightning.shutdown();
  await gateway.close();
});

test("an agent works off the queue side by side, each rollout in its own context", async () => {
  const gateway = await loopbackGateway();
  for (let i = 0; i < 20; i++) gateway.queue.push({ id: `q-${i}`, input: i, attempt: null });
  const { log, lightning } = memoryLightning({
    gatewayUrl: `${gateway.url}/projects/rooms`,
    heartbeatMs: 5,
  });
  gateway.troubles.push(503);
  const stop = new AbortController();
  let most = 0;
  let now = 0;
  const summary = await lightning.runAgent({
    workerId: "w-1",
    concurrency: 4,
    maxRollouts: 20,
    pollMs: 1,
    signal: stop.signal,
    agent: async ({ input, rolloutId }) => {
      most = Math.max(most, ++now);
      await sleep(Number(input) % 5 === 0 ? 12 : 2);
      await emitMessage(String(input));
      assert.equal(currentAttempt()?.rolloutId, rolloutId);
      now--;
      if (input === 7) throw new Error("seven");
      return Number(input) / 20;
    },
  });
  assert.deepEqual(summary, { succeeded: 19, failed: 1 });
  assert.equal(most, 4);
  assert.equal(gateway.ended.size, 20);
  assert.equal(gateway.ended.get("q-7")?.error, "Error: seven");
  const spans = spansOf(log);
  assert.ok(spans.every(({ project }) => project === "rooms"));
  for (let i = 0; i < 20; i++) {
    const own = spans.filter(({ rollout_id }) => rollout_id === `q-${i}`);
    assert.deepEqual(
      own.map(({ name, sequence_id }) => [name, sequence_id]),
      [["agentlightning.message", 1], ...(i === 7 ? [] : [["agentlightning.annotation", 2]])],
    );
  }
  assert.ok(gateway.seen.some(({ path }) => path.endsWith("/heartbeat")));
  await lightning.shutdown();
  await gateway.close();
});

test("an agent told to stop finishes what it has and claims nothing more", async () => {
  const gateway = await loopbackGateway();
  for (let i = 0; i < 5; i++) gateway.queue.push({ id: `s-${i}`, input: i, attempt: null });
  const { lightning } = memoryLightning({ gatewayUrl: gateway.url });
  const stop = new AbortController();
  const agent = async (): Promise<void> => {
    stop.abort();
    await sleep(10);
  };
  const summary = await lightning.runAgent({
    workerId: "w",
    concurrency: 2,
    agent,
    signal: stop.signal,
  });
  assert.deepEqual([summary.succeeded, gateway.queue.length, gateway.ended.size], [2, 3, 2]);
  await lightning.shutdown();
  await gateway.close();
});

test("without a gateway a client emits, and says what is missing when asked for a rollout", async () => {
  const { lightning } = memoryLightning();
  await assert.rejects(
    lightning.rollout("x", () => 1),
    (error) => codeOf(error) === "config-invalid" && /gatewayUrl/.test(String(error)),
  );
  assert.throws(() => memoryLightning({ gatewayUrl: "localhost:1", project: "a/b" }), /project/);
  await lightning.shutdown();
});

/** Runs a script that emits and never flushes; its transport writes names to stdout, slowly. */
function child(end: string, signal?: NodeJS.Signals): Promise<{ out: string; status: unknown }> {
  const script = `
    import { createLightning } from ${JSON.stringify(new URL("lightning.ts", import.meta.url).href)};
    import { emitMessage } from ${JSON.stringify(new URL("emit.ts", import.meta.url).href)};
    const transport = { name: "stdout", async send(spans) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const span of spans) process.stdout.write(span.name + "\\n");
      return { count: 0, reason: "" };
    } };
    const lightning = createLightning({ transport, buffer: { lingerMs: 60_000 } });
    lightning.withAttempt({ rolloutId: "r", attemptId: "a" }, () => { void emitMessage("x"); });
    ${end}`;
  const args = ["--import", "tsx", "--input-type=module", "--eval", script];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  running.stdout.on("data", (chunk) => {
    out += chunk;
    if (signal !== undefined && out === "ready\n") running.kill(signal);
  });
  return new Promise((resolve) => {
    running.on("close", (code, by) => resolve({ out, status: code ?? by }));
  });
}

test("a process that ends, or is told to, delivers what it holds", async () => {
  const stay = 'setInterval(() => {}, 1000); process.stdout.write("ready\\n");';
  const [done, killed] = await Promise.all([child(""), child(stay, "SIGTERM")]);
  assert.deepEqual(done, { out: "agentlightning.message\n", status: 0 });
  assert.deepEqual(killed, { out: "ready\nagentlightning.message\n", status: "SIGTERM" });
});
