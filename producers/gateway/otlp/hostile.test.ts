import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";
import { testGateway } from "../testing.ts";
import { bytesField, exportRequest, type Headers, owner, post, span, spansOf } from "./testing.ts";

test("a span larger than the limit is rejected and its neighbour kept", async () => {
  const gateway = await testGateway();
  const big = span({ attributes: { blob: "x".repeat(9 * 1024 * 1024) } });
  const answer = await post(gateway, exportRequest([big, span()], owner), {
    "accept-encoding": "gzip",
  });
  assert.equal(answer.statusCode, 200);
  const body = zlib.gunzipSync(answer.rawPayload).toString();
  assert.match(body, /larger than 8388608 bytes/);
  assert.equal(spansOf(gateway).length, 1);
});

test("a resource repeated by too many spans is refused before it fills the memory", async () => {
  const gateway = await testGateway();
  const resource = { ...owner, blob: "x".repeat(4 * 1024 * 1024) };
  const spans = Array.from({ length: 100 }, () => span());
  const answer = await post(gateway, exportRequest(spans, resource));
  assert.equal(answer.statusCode, 413);
  assert.equal(gateway.log.records.length, 0);
});

test("a bomb is a 413 that costs no more memory than the limit", async () => {
  const gateway = await testGateway();
  const bomb = zlib.gzipSync(Buffer.alloc(250 * 1024 * 1024), { level: 1 });
  global.gc?.();
  const before = process.memoryUsage().rss;
  const answer = await post(gateway, bomb, { "content-encoding": "gzip" });
  assert.equal(answer.statusCode, 413);
  assert.ok(process.memoryUsage().rss - before < 150 * 1024 * 1024);
  assert.match(answer.payload, /larger than 20971520 bytes/);
});

test("bad bodies are a 4xx with a google.rpc.Status in the sender's format", async () => {
  const gateway = await testGateway();
  const good = exportRequest([span()], owner);
  const cases: [Buffer | string, Headers, number][] = [
    [Buffer.from("not protobuf"), {}, 400],
    [good.subarray(0, good.length - 5), {}, 400],
    [Buffer.from([10, 255, 255, 255, 255, 15]), {}, 400],
    [Buffer.alloc(30, 255), {}, 400],
    [good, { "content-encoding": "gzip" }, 400],
    [zlib.gzipSync(good).subarray(0, 30), { "content-encoding": "gzip" }, 400],
    [good, { "content-encoding": "zstd" }, 415],
    ["{", {}, 400],
    ["[]", {}, 400],
    ['{"resourceSpans":5}', {}, 400],
    ['{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":5}]}]}]}', {}, 400],
    ['{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}', {}, 400],
    [Buffer.from("x"), { "content-type": "text/plain" }, 400],
    [Buffer.alloc(21 * 1024 * 1024), {}, 413],
  ];
  for (const [body, headers, status] of cases) {
    const answer = await post(gateway, body, headers);
    assert.equal(answer.statusCode, status, `${String(body).slice(0, 60)} ${answer.payload}`);
    if (!(body instanceof Buffer)) {
      assert.ok(JSON.parse(answer.payload).message.length > 0);
    } else assert.equal(answer.rawPayload[0], 8);
  }
  assert.equal(gateway.log.records.length, 0);
  const wrongType = await post(
    gateway,
    '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":5}]}]}]}',
  );
  assert.match(wrongType.payload, /resourceSpans\[0\].scopeSpans\[0\].spans\[0\].name: read 5/);
});

test("nesting without end is rejected per span and never overflows the stack", async () => {
  const gateway = await testGateway();
  let value: Buffer = bytesField(1, "deep");
  for (let depth = 0; depth < 20_000; depth++) value = bytesField(5, bytesField(1, value));
  const attribute = Buffer.concat([bytesField(1, "k"), bytesField(2, value)]);
  const deep = span({ more: bytesField(9, attribute) });
  const answer = await post(gateway, exportRequest([deep, span()], owner));
  assert.equal(answer.statusCode, 200);
  assert.match(answer.payload, /nested deeper than 64/);
  assert.equal(spansOf(gateway).length, 1);
  const open = '{"arrayValue":{"values":['.repeat(50_000);
  const text = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":${open}`;
  const closed = `${text}${"]}}".repeat(50_000)}}]}]}]}]}`;
  assert.equal((await post(gateway, closed)).statusCode, 400);
});
