import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";
import { SpanStatusCode } from "@opentelemetry/api";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { packFloat64, packInt32 } from "../../../schemas/bytes.ts";
import { attributesToObject } from "../../attributes.ts";
import { testGateway } from "../testing.ts";
import { bytesField, exportRequest, owner, post, span, spansOf, varintField } from "./testing.ts";

const values = {
  text: "t",
  flag: true,
  count: 7n,
  negative: -7n,
  huge: 2n ** 60n,
  ratio: 1,
  bad: Number.NaN,
  bytes: Buffer.from([1, 255]),
  tokens: [1n, 2n, -3n],
  logprobs: [0n, -0.5],
  wholes: [1, 2],
  names: ["a", "b"],
  nested: { deep: [{ x: 1n }, Buffer.from([171])] },
  nothing: null,
};

test("a protobuf span is kept with every kind of value", async () => {
  const gateway = await testGateway();
  const answer = await post(gateway, exportRequest([span({ attributes: values })], owner));
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.rawPayload.length, 0);
  assert.equal(answer.headers["content-type"], "application/x-protobuf");
  const [kept] = spansOf(gateway);
  assert.ok(kept);
  assert.equal(kept.rollout_id, "ro-1");
  assert.equal(kept.attempt_id, "at-1");
  assert.equal(kept.trace_id, "0102030405060708090a0b0c0d0e0f10");
  assert.equal(kept.span_id, "1112131415161718");
  assert.equal(kept.parent_id, null);
  assert.equal(kept.kind, "CLIENT");
  assert.deepEqual([kept.start_time, kept.start_nanos], [1_760_000_000_123_456, 789]);
  assert.deepEqual([kept.end_time, kept.end_nanos], [1_760_000_001_000_000, 1]);
  assert.deepEqual([kept.scope_name, kept.scope_version], ["tests", "1.0"]);
  const { attributes } = kept;
  assert.deepEqual({ ...attributes.longs }, { count: 7, negative: -7 });
  assert.deepEqual({ ...attributes.doubles }, { ratio: 1, bad: Number.NaN });
  assert.deepEqual(Buffer.from(attributes.int_lists.tokens ?? []), packInt32([1, 2, -3]));
  assert.deepEqual(Buffer.from(attributes.double_lists.logprobs ?? []), packFloat64([0, -0.5]));
  assert.deepEqual(Buffer.from(attributes.double_lists.wholes ?? []), packFloat64([1, 2]));
  assert.equal(attributes.strings.bytes, "01ff");
  assert.equal(attributes.json.huge, "1152921504606846976");
  assert.equal(attributes.json.nested, '{"deep":[{"x":1},"ab"]}');
  assert.equal(attributes.json.nothing, "null");
});

test("the same span in JSON is the same record", async () => {
  const gateway = await testGateway();
  const jsonSpan = {
    traceId: "0102030405060708090A0B0C0D0E0F10",
    spanId: "1112131415161718",
    name: "work",
    kind: "SPAN_KIND_CLIENT",
    startTimeUnixNano: "1760000000123456789",
    endTimeUnixNano: "1760000001000000001",
    attributes: Object.entries(values).map(([key, value]) => ({ key, value: jsonValue(value) })),
    fieldOfTheFuture: 1,
  };
  await post(gateway, exportRequest([span({ attributes: values })], owner));
  const resource = {
    attributes: Object.entries(owner).map(([key, value]) => ({ key, value: jsonValue(value) })),
  };
  const scopeSpans = [{ scope: { name: "tests", version: "1.0" }, spans: [jsonSpan] }];
  const answer = await post(gateway, { resourceSpans: [{ resource, scopeSpans }] });
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.payload, "{}");
  const [fromProtobuf, fromJson] = spansOf(gateway);
  assert.deepEqual(fromJson, fromProtobuf);
});

function jsonValue(value: unknown): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "bigint") return { intValue: String(value) };
  if (typeof value === "number") return { doubleValue: Number.isNaN(value) ? "NaN" : value };
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(jsonValue) } };
  if (value === null) return {};
  const entries = Object.entries(value as object);
  const list = entries.map(([key, item]) => ({ key, value: jsonValue(item) }));
  return { kvlistValue: { values: list } };
}

test("what the OpenTelemetry SDK sends is read, and it reads the answer", async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const tracer = provider.getTracer("sdk", "2");
  const parent = tracer.startSpan("parent", { attributes: { ...owner, n: 1, d: 0.5, l: [1, 2] } });
  parent.addEvent("happened", { why: "test" });
  parent.setStatus({ code: SpanStatusCode.ERROR, message: "no room" });
  parent.end();
  const sent = exporter.getFinishedSpans();
  const gateway = await testGateway();
  const bytes = ProtobufTraceSerializer.serializeRequest(sent) ?? new Uint8Array();
  const text = JsonTraceSerializer.serializeRequest(sent) ?? new Uint8Array();
  assert.equal((await post(gateway, Buffer.from(bytes))).statusCode, 200);
  assert.equal((await post(gateway, Buffer.from(text).toString())).statusCode, 200);
  const [one, two] = spansOf(gateway);
  assert.deepEqual(one, two);
  assert.deepEqual(
    [one?.name, one?.status_code, one?.status_message],
    ["parent", "ERROR", "no room"],
  );
  assert.equal(one?.trace_id, parent.spanContext().traceId);
  assert.equal(one?.events[0]?.name, "happened");
  const answer = await post(gateway, exportRequest([span()]));
  const response = ProtobufTraceSerializer.deserializeResponse(answer.rawPayload);
  assert.equal(Number(response.partialSuccess?.rejectedSpans), 1);
  assert.match(response.partialSuccess?.errorMessage ?? "", /rollout_id is missing/);
});

test("a span's own ids win over its resource's, and those over the URL's", async () => {
  const gateway = await testGateway();
  const own = { "agentlightning.rollout_id": "own", "agentlightning.span_sequence_id": "12" };
  const body = Buffer.concat([
    exportRequest([span({ attributes: own })], owner),
    exportRequest([span()], owner),
    exportRequest([span()], { "agentlightning.attempt_id": 5n }),
  ]);
  const url = "/projects/p1/rollout/from%20url/attempt/at-url/v1/traces";
  const answer = await post(gateway, body, {}, url);
  assert.equal(answer.statusCode, 200);
  assert.deepEqual(
    spansOf(gateway).map((one) => [one.project, one.rollout_id, one.attempt_id, one.sequence_id]),
    [
      ["p1", "own", "at-1", 12],
      ["p1", "ro-1", "at-1", null],
      ["p1", "from url", "5", null],
    ],
  );
  assert.equal(gateway.log.records[0]?.key, "p1/own");
});

test("spans that cannot be placed are counted with their reasons and the others are kept", async () => {
  const gateway = await testGateway();
  const good = span();
  const badIds = [
    span({ traceId: Buffer.alloc(3) }),
    span({ spanId: Buffer.alloc(8) }),
    span({ attributes: { "agentlightning.rollout_id": "a\u0000b" } }),
    span({ more: bytesField(4, Buffer.alloc(2)) }),
  ];
  const body = exportRequest([good, ...badIds], owner);
  const answer = await post(gateway, Buffer.concat([body, exportRequest([span(), span()])]));
  assert.equal(answer.statusCode, 200);
  const text = answer.rawPayload.toString("latin1");
  assert.match(text, /agentlightning.rollout_id is missing/);
  assert.match(text, /trace_id must have 16 bytes/);
  assert.match(text, /span_id must have 8 bytes/);
  assert.match(text, /parent_span_id must have 8 bytes/);
  assert.match(text, /rollout_id is no id/);
  // ExportTraceServiceResponse{partial_success{rejected_spans: 6, …}}
  assert.equal(answer.rawPayload[0], 10);
  assert.ok(answer.rawPayload.includes(Buffer.from([8, 6, 18])));
  assert.equal(spansOf(gateway).length, 1);
});

test("gzip, deflate and br bodies are read", async () => {
  const body = exportRequest([span()], owner);
  const encodings: [string, Buffer][] = [
    ["gzip", zlib.gzipSync(body)],
    ["deflate", zlib.deflateSync(body)],
    ["br", zlib.brotliCompressSync(body)],
    ["identity", body],
  ];
  for (const [encoding, bytes] of encodings) {
    const gateway = await testGateway();
    const answer = await post(gateway, bytes, { "content-encoding": encoding });
    assert.equal(answer.statusCode, 200, encoding);
    assert.equal(spansOf(gateway).length, 1);
  }
});

test("the empty answer is a gzip stream when the sender takes gzip, and not at q=0", async () => {
  const gateway = await testGateway();
  const zipped = await post(gateway, Buffer.alloc(0), { "accept-encoding": "br, gzip;q=0.5" });
  assert.equal(zipped.headers["content-encoding"], "gzip");
  assert.equal(zlib.gunzipSync(zipped.rawPayload).length, 0);
  const plain = await post(gateway, Buffer.alloc(0), { "accept-encoding": "gzip;q=0" });
  assert.equal(plain.headers["content-encoding"], undefined);
});

test("an unreachable broker is a 503 that says when to come back, and nothing is half stored", async () => {
  const gateway = await testGateway();
  gateway.log.down = true;
  const answer = await post(gateway, exportRequest([span()], owner));
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.headers["retry-after"], "1");
  gateway.log.down = false;
  assert.equal((await post(gateway, exportRequest([span()], owner))).statusCode, 200);
  assert.equal(spansOf(gateway).length, 1);
});

test("a span sent twice is two identical records, for the readers to count once", async () => {
  const gateway = await testGateway();
  const body = exportRequest([span()], owner);
  await post(gateway, body);
  await post(gateway, body);
  const [first, second] = spansOf(gateway);
  assert.deepEqual(first, second);
});

test("spans are at most one sign of life a second for each attempt that lives", async () => {
  let now = 1_000_000;
  const gateway = await testGateway({ now: () => now });
  await gateway.claimed("ro-1");
  const other = { ...owner, "agentlightning.rollout_id": "unknown" };
  const signs = () =>
    gateway.log.records.flatMap(({ type, value }) => {
      if (type === "HeartbeatRequested") return ["alone"];
      return type === "SequenceRequested" && value.attempt_id !== null ? ["with numbers"] : [];
    });
  const send = async () => {
    await post(gateway, exportRequest([span(), span()], owner));
    await post(gateway, exportRequest([span()], other));
    await new Promise((resolve) => setImmediate(resolve));
  };
  await send();
  await send();
  assert.deepEqual(signs(), ["with numbers"]);
  now += 1000;
  await send();
  assert.deepEqual(signs(), ["with numbers", "alone"]);
});

test("what the model has no field for is not lost", async () => {
  const gateway = await testGateway();
  const scope = bytesField(1, Buffer.concat([bytesField(1, "s"), bytesField(3, attributeBytes())]));
  const scopeSpans = Buffer.concat([bytesField(2, span()), scope, bytesField(3, "http://schema")]);
  const body = bytesField(1, Buffer.concat([bytesField(2, scopeSpans), varintField(99, 5)]));
  const url = "/rollout/r/attempt/a/v1/traces";
  assert.equal((await post(gateway, body, {}, url)).statusCode, 200);
  const [kept] = spansOf(gateway);
  assert.equal(kept?.scope_name, "s");
  assert.deepEqual(JSON.parse(kept?.extra ?? "{}"), {
    scope_attributes: { library: "x" },
    scope_schema_url: "http://schema",
  });
  assert.deepEqual(attributesToObject(kept.attributes), {});
});

function attributeBytes(): Buffer {
  return Buffer.concat([bytesField(1, "library"), bytesField(2, bytesField(1, "x"))]);
}
