import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compressFrameSync } from "lz4-napi";
import { decodeLz4 } from "./lz4-frame.ts";

async function decode(chunks: readonly Buffer[]): Promise<Buffer> {
  async function* source() {
    yield* chunks;
  }
  const out: Buffer[] = [];
  for await (const chunk of decodeLz4(source())) out.push(chunk);
  return Buffer.concat(out);
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

describe("lz4 frames", () => {
  it("whatever was compressed comes back, however it is cut and however many frames it is", async () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.tuple(fc.string(), fc.nat(100_000)).map(([part, times]) => part.repeat(times % 5000)),
      fc
        .uint8Array({ maxLength: 200_000, size: "max" })
        .map((bytes) => Buffer.from(bytes).toString("latin1")),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { maxLength: 3 }),
        fc.integer({ min: 1, max: 100_000 }),
        async (texts, size) => {
          const frames = Buffer.concat(texts.map((t) => compressFrameSync(Buffer.from(t))));
          const step = Math.max(size, Math.ceil(frames.length / 1000));
          assert.equal((await decode(cut(frames, step))).toString(), texts.join(""));
        },
      ),
      { numRuns: 25 },
    );
  });

  it("spans blocks that refer to earlier ones", async () => {
    const text = Array.from({ length: 200_000 }, (_, i) => `row ${i} of many;`).join("\n");
    assert.equal((await decode([compressFrameSync(Buffer.from(text))])).toString(), text);
  });

  it("damaged bytes end in an error or in other bytes, never in a hang or too many", async () => {
    const frame = compressFrameSync(Buffer.from("a row, and the same row again; ".repeat(100)));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(frame.length - 1),
        fc.nat(255),
        fc.nat(frame.length),
        async (at, byte, length) => {
          const damaged = Buffer.from(frame);
          damaged[at] = byte;
          const result = await decode([damaged.subarray(0, length)]).catch((error) => error);
          assert.ok(result instanceof Error || result.length <= 4 * 1024 * 1024);
        },
      ),
    );
  });
});
