import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { LightningError } from "../../schemas/errors.ts";
import { readBody } from "./bodies.ts";

const limits = { compressed: 100, decompressed: 200 };

function refusalOf(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LightningError && error.code === code;
}

test("a body comes whole, in one chunk or many, plain or compressed", async () => {
  const text = "x".repeat(90);
  const chunks = text.match(/.{1,7}/g)?.map((chunk) => Buffer.from(chunk)) ?? [];
  for (const payload of [[Buffer.from(text)], chunks]) {
    const bytes = await readBody(Readable.from(payload, { objectMode: false }), undefined, limits);
    assert.equal(bytes.toString(), text);
  }
  assert.equal((await readBody(Readable.from([], { objectMode: false }), "", limits)).length, 0);
  const packed = Readable.from([gzipSync(text)], { objectMode: false });
  assert.equal((await readBody(packed, "gzip", limits)).toString(), text);
});

test("reading stops at the limit and leaves the sender's stream as it is", async () => {
  const payload = new PassThrough();
  const reading = readBody(payload, undefined, limits);
  payload.write(Buffer.alloc(101));
  await assert.rejects(reading, refusalOf("too-large"));
  assert.equal(payload.destroyed, false);
  // Nobody listens any more; an error of the connection afterwards brings nothing down.
  payload.destroy(new Error("reset"));
  await new Promise((resolve) => payload.once("close", resolve));
});

test("a sender that hangs up in the middle is told apart from one that is done", async () => {
  const midway = new PassThrough();
  const reading = readBody(midway, undefined, limits);
  midway.write("half");
  midway.destroy();
  await assert.rejects(reading, refusalOf("request-invalid"));
  await assert.rejects(readBody(midway, undefined, limits), refusalOf("request-invalid"));
  const failed = new PassThrough();
  failed.on("error", () => undefined);
  failed.destroy(new Error("reset"));
  await assert.rejects(readBody(failed, undefined, limits), refusalOf("request-invalid"));
});
