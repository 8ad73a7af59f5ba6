import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { codeOf } from "../../schemas/errors.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { readProtobuf } from "../gateway/otlp/protobuf.ts";
import { emitException, emitMessage, emitReward } from "./emit.ts";
import { asSpanExporter } from "./exporter.ts";
import { createLightning, type Lightning } from "./lightning.ts";
import { createLogExporter } from "./log-exporter.ts";
import { operation } from "./operation.ts";
import { createOtlpExporter } from "./otlp-exporter.ts";
import { retryAfterMs } from "./retry.ts";
import { memoryLog, ownAttributes, spansOf } from "./test-log.ts";
import { json, loopback, type Seen } from "./test-server.ts";

function decoded({ body, headers }: Seen): SpanRecorded[] {
  const spans: SpanRecorded[] = [];
  const plain = headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
  readProtobuf(plain, (span, _bytes, problem) => {
    assert.equal(problem, null);
    spans.push(span);
  });
  return spans;
}

function client(options: Parameters<typeof createOtlpExporter>[0]): Lightning {
  return createLightning({
    transport: createOtlpExporter(options),
    register: false,
    exitHooks: false,
    buffer: { lingerMs: 1, log: () => undefined },
  });
}

const ids = { rolloutId: "ro-otlp", attemptId: "at-1" };

async function someSpans(): Promise<void> {
  const search = operation(async function search(q: string) {
    await emitMessage(`searching ${q}`);
    return [{ id: 1, score: 0.5 }];
  });
  await search("rooms");
  await emitReward({ a: 1, b: 0.25 }, { primaryKey: "b" });
  await emitException(new Error("boom"), { attributes: { ids: [1, 2, 3], none: null } });
}

test("spans reach an OTLP receiver as the log would have them", async () => {
  const server = await loopback((_seen, response) => json(response, 200, {}));
  const log = memoryLog();
  const direct = createLogExporter({ append: log.append });
  const otlp = createOtlpExporter({ gatewayUrl: `${server.url}/`, apiKey: "key-1" });
  const lightning = createLightning({
    transport: {
      name: "both",
      async send(spans) {
        await direct.send(spans);
        return otlp.send(spans);
      },
    },
    register: false,
    exitHooks: false,
    buffer: { lingerMs: 1 },
  });
  await lightning.withAttempt(ids, someSpans);
  await lightning.shutdown();
  await server.close();
  assert.ok(server.seen.every(({ path }) => path === "/v1/traces"));
  assert.equal(server.seen[0]?.headers.authorization, "Bearer key-1");
  assert.equal(server.seen[0]?.headers["content-type"], "application/x-protobuf");
  const received = server.seen.flatMap(decoded);
  const none = { project: "", rollout_id: "", attempt_id: "", sequence_id: null };
  const logged = spansOf(log).map((span) => ({ ...span, ...none }));
  assert.equal(received.length, 4);
  assert.deepEqual(
    received.map((span) => JSON.parse(JSON.stringify(span))),
    logged.map((span) => JSON.parse(JSON.stringify(span))),
  );
  assert.equal(received[0]?.attributes.longs["agentlightning.span_sequence_id"], 2);
  assert.equal(ownAttributes(received[3])["exception.message"], "boom");
});

test("spans of other projects go to their project's address", async () => {
  const server = await loopback((_seen, response) => json(response, 200, {}));
  const lightning = client({ gatewayUrl: `${server.url}/projects/rooms`, project: "rooms" });
  for (const project of ["default", "rooms", "desks"]) {
    await lightning.withAttempt({ ...ids, project }, () => emitMessage(project));
  }
  await lightning.shutdown();
  await server.close();
  assert.deepEqual(server.seen.map(({ path }) => path).sort(), [
    "/projects/desks/v1/traces",
    "/projects/rooms/v1/traces",
    "/v1/traces",
  ]);
});

test("429 and 5xx of a proxy are repeated, Retry-After is honoured, and nothing is lost", async () => {
  const statuses = [503, 429, 502, 504];
  const times: number[] = [];
  const server = await loopback((_seen, response) => {
    times.push(performance.now());
    const status = statuses.shift();
    if (status === undefined) return json(response, 200, {});
    response.writeHead(status, status === 503 ? { "retry-after": "0.3" } : {});
    response.end("later");
  });
  const lightning = client({ gatewayUrl: server.url });
  await lightning.withAttempt(ids, () => emitMessage("kept"));
  await lightning.flush();
  const [first = 0, second = 0] = times;
  assert.ok(second - first >= 290, `came back after ${second - first} ms`);
  assert.equal(times.length, 5);
  assert.equal(server.seen.flatMap(decoded).length, 5);
  assert.equal(lightning.stats().sent, 1);
  await lightning.shutdown();
  await server.close();
});

test("partial success counts and reports what was refused", async () => {
  const partial = { partialSuccess: { rejectedSpans: "1", errorMessage: "span 2 has no id" } };
  const server = await loopback((_seen, response) => json(response, 200, partial));
  const lightning = client({ gatewayUrl: server.url });
  await lightning.withAttempt(ids, async () => {
    void emitMessage("1");
    void emitMessage("2");
  });
  await assert.rejects(lightning.flush(), /1 spans were refused: span 2 has no id/);
  assert.deepEqual([lightning.stats().sent, lightning.stats().refused], [1, 1]);
  await lightning.shutdown();
  await server.close();
});

test("a wrong key or address keeps the spans and flush names it", async () => {
  let status = 401;
  const server = await loopback((_seen, response) => {
    response.writeHead(status);
    response.end("who are you?");
  });
  const lightning = client({ endpoint: `${server.url}/traces`, compression: "none" });
  await lightning.withAttempt(ids, () => emitMessage("kept"));
  await assert.rejects(lightning.flush(100), /\/traces answered 401: who are you\?/);
  assert.equal(lightning.stats().buffered, 1);
  status = 200;
  await lightning.flush();
  assert.equal(lightning.stats().sent, 1);
  await lightning.shutdown();
  await server.close();
  assert.equal(server.seen[0]?.headers["content-encoding"], undefined);
});

test("a receiver that is not there is a gateway-unavailable, one that hangs a deadline-passed", async () => {
  const gone = await loopback(() => undefined);
  await gone.close();
  const here = await loopback(() => undefined);
  const span = [] as never[];
  const away = createOtlpExporter({ gatewayUrl: gone.url });
  await assert.rejects(away.send([...span, ...(await oneSpan())]), (error) => {
    return codeOf(error) === "gateway-unavailable" && /ECONNREFUSED/.test(String(error));
  });
  const slow = createOtlpExporter({ gatewayUrl: here.url, timeoutMs: 30 });
  await assert.rejects(slow.send(await oneSpan()), (error) => codeOf(error) === "deadline-passed");
  await here.close();
});

test("an OpenTelemetry batch processor can use the exporter, and hears of failures", async () => {
  let status = 503;
  const server = await loopback((_seen, response) => {
    response.writeHead(status);
    response.end();
    status = 200;
  });
  const exporter = asSpanExporter(createOtlpExporter({ gatewayUrl: server.url }));
  const spans = await oneSpan();
  const result = await new Promise<{ code: number }>((done) => exporter.export(spans, done));
  assert.equal(result.code, 0);
  status = 400;
  const failed = await new Promise<{ code: number; error?: Error }>((done) =>
    exporter.export(spans, done),
  );
  assert.deepEqual([failed.code, codeOf(failed.error)], [1, "request-invalid"]);
  await exporter.shutdown();
  await server.close();
});

test("an address that is none, both or neither is refused at once", () => {
  assert.throws(() => createOtlpExporter({}), /gatewayUrl is undefined, endpoint is undefined/);
  assert.throws(() => createOtlpExporter({ gatewayUrl: "http://a", endpoint: "http://b" }));
});

test("Retry-After is read as seconds or as a date, and never longer than an hour", () => {
  assert.equal(retryAfterMs("2"), 2000);
  assert.equal(retryAfterMs("99999"), 3_600_000);
  assert.equal(retryAfterMs("soon"), undefined);
  assert.equal(retryAfterMs(null), undefined);
  const inTen = retryAfterMs(new Date(Date.now() + 10_000).toUTCString()) ?? 0;
  assert.ok(inTen > 8_000 && inTen <= 10_000);
});

/** A finished span as the SDK makes it. */
async function oneSpan(): Promise<
  Parameters<ReturnType<typeof createOtlpExporter>["send"]>[0][number][]
> {
  const spans: Parameters<ReturnType<typeof createOtlpExporter>["send"]>[0][number][] = [];
  const lightning = createLightning({
    transport: {
      name: "memory",
      async send(sent) {
        spans.push(...sent);
        return { count: 0, reason: "" };
      },
    },
    register: false,
    exitHooks: false,
  });
  await lightning.withAttempt(ids, () => emitMessage("one"));
  await lightning.shutdown();
  return spans;
}
