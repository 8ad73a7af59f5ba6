import assert from "node:assert/strict";
import { test } from "node:test";
import { collectSpans } from "../../producers/gateway/otlp/collect.ts";
import { median, quantile, spread } from "./bench.ts";
import { parse } from "./connection.ts";
import { jsonSpan, spanBodies } from "./load-store.ts";
import { cpuBetween, parseStat, usageOf } from "./processes.ts";
import { selfTimes } from "./profile.ts";
import { replaceSections, type Section } from "./report.ts";
import { tablesOf } from "./store.ts";
import { filled, groupOf, ingestBody, rolloutIdOf, smallShape, template } from "./workload.ts";

test("a quantile is a value that was measured, by nearest rank", () => {
  const values = [5, 1, 4, 2, 3];
  assert.deepEqual(
    [0, 0.5, 0.99, 1].map((q) => quantile(values, q)),
    [1, 3, 5, 5],
  );
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(spread([1200, 1000, 1100]), "1,100 [1,000–1,200]");
  assert.equal(spread([7]), "7");
});

test("CPU and memory are read behind the command's last bracket, whatever it holds", () => {
  const rest = "S 42 1 1 0 -1 0 0 0 0 0 100 50 7 3 20 0 1 0 5 1000 300 0";
  assert.deepEqual(parseStat(`9 (a) b (c)) ${rest}`), { parent: 42, ticks: 160, pages: 300 });
});

test("a process counts with what it started, and work shows in the difference", () => {
  const before = usageOf({ self: process.pid });
  for (const until = Date.now() + 60; Date.now() < until; );
  const after = usageOf({ self: process.pid });
  assert.ok((after.self?.rssMb ?? 0) > 10);
  assert.ok((cpuBetween(before, after).self ?? 0) >= 10);
});

test("the filled template is a request that the gateway takes whole, under the given ids", () => {
  const one = template(smallShape, 1);
  const ids = (i: number) => ({
    rolloutId: rolloutIdOf("t", i),
    attemptId: `at-${"0".repeat(12)}`,
  });
  const body = filled([
    [one, ids(0)],
    [template(smallShape, 2), ids(1)],
  ]);
  const nowhere = { project: "default", rolloutId: null, attemptId: null };
  const { records, rejected } = collectSpans("protobuf", body, nowhere);
  assert.equal(rejected, 0);
  assert.equal(records.length, 2 * smallShape.spans);
  assert.deepEqual(
    new Set(records.map(({ value }) => value.rollout_id)),
    new Set([ids(0).rolloutId, ids(1).rolloutId]),
  );
  assert.equal(new Set(records.map(({ value }) => value.span_id)).size, records.length);
  const calls = records.filter(({ value }) => value.name === "openai.chat.completion");
  assert.equal(calls.length, one.calls + template(smallShape, 2).calls);
});

test("a plain request has 100 spans of about a kilobyte", () => {
  const body = ingestBody(3);
  const nowhere = { project: "default", rolloutId: null, attemptId: null };
  const { records, rejected } = collectSpans("protobuf", body, nowhere);
  assert.equal(rejected, 0);
  assert.equal(records.length, 100);
  assert.ok(body.length > 90_000 && body.length < 130_000);
});

test("the last group is as large as what is left, so that every group can be whole", () => {
  const job = { run: "r", rollouts: 10, groupSize: 4 };
  const sizes = Array.from({ length: 10 }, (_, i) => groupOf(job, i).group_size);
  assert.deepEqual(sizes, [4, 4, 4, 4, 4, 4, 4, 4, 2, 2]);
});

test("an answer is parsed when it is whole, however it was cut", () => {
  const bytes = Buffer.from(
    "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nx: y\r\n\r\nhelloHTTP/1.1",
  );
  for (let end = 0; end < bytes.length - 8; end++) {
    assert.equal(parse(bytes.subarray(0, end)), undefined);
  }
  const answer = parse(bytes);
  assert.equal(answer?.status, 201);
  assert.equal(answer?.body.toString(), "hello");
  assert.equal(answer?.end, bytes.length - 8);
});

test("a bench's new section takes the place of its old one, the others stay", () => {
  const section = (name: string, value: string): Section => ({
    name,
    facts: [`machine: m`],
    tables: [{ title: "T", head: ["a", "b"], rows: [[value, "1"]], notes: [] }],
  });
  const order = ["one", "two"];
  const both = replaceSections("", [section("two", "old"), section("one", "kept")], order);
  const after = replaceSections(both, [section("two", "new")], order);
  assert.match(after, /## one.*kept.*## two.*new/s);
  assert.doesNotMatch(after, /old/);
  assert.equal(replaceSections(after, [], order), after);
});

test("sleep does not count as self time", () => {
  const node = (id: number, functionName: string) => ({
    id,
    callFrame: { functionName, url: "", lineNumber: 0 },
  });
  const nodes = [node(1, "(idle)"), node(2, "work")];
  const times = selfTimes({ nodes, samples: [1, 2, 2], timeDeltas: [9000, 1000, 500] });
  assert.deepEqual(times, [{ where: "work ", ms: 1.5 }]);
});

test("a rollout of the store's bench is the same ten spans in either form", () => {
  const bodies = spanBodies(5);
  const nowhere = { project: "default", rolloutId: null, attemptId: null };
  for (const digits of [8, 12]) {
    const ids = { rolloutId: rolloutIdOf("t", 0), attemptId: `at-${"0".repeat(digits)}` };
    const { records, rejected } = collectSpans("protobuf", bodies.otlp(ids), nowhere);
    assert.equal(rejected, 0);
    const placed = records.map(({ value }) => [value.rollout_id, value.attempt_id]);
    assert.deepEqual(placed, Array(10).fill([ids.rolloutId, ids.attemptId]));
    const spans = bodies.json.map((text) => JSON.parse(jsonSpan(text, ids)));
    assert.deepEqual(
      spans.map(({ rollout_id, attempt_id, name }) => [rollout_id, attempt_id, name]),
      records.map(({ value }) => [ids.rolloutId, ids.attemptId, value.name]),
    );
    assert.equal(new Set(spans.map(({ span_id }) => span_id)).size, 10);
  }
});

test("ours is compared with the reference's run of the nearest size", () => {
  const times = { p50: 1, p99: 2 };
  const all = { enqueue: times, dequeue: times, spans: times, end: times, query: times };
  const run = (side: "ours" | "reference", rollouts: number, seconds: number, cpuMs: number) => ({
    side,
    work: { rollouts, clients: 16, spans: "otlp" as const },
    loaded: { seconds, times: all, cpuMs: 0 },
    cpuMs,
  });
  const runs = [
    run("reference", 400, 4, 4000),
    run("reference", 1000, 20, 10_000),
    run("ours", 400, 0.5, 2000),
    run("ours", 5000, 5, 20_000),
  ];
  const ratios = tablesOf(runs)[0]?.rows.map((row) => [row[4], row[6]]);
  assert.deepEqual(ratios, [
    ["", ""],
    ["", ""],
    ["8.0", "0.50"],
    ["20.0", "0.40"],
  ]);
});
