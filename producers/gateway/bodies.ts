import type { Readable, Transform } from "node:stream";
import zlib from "node:zlib";
import { LightningError, messageOf } from "../../schemas/errors.ts";

/** Largest request body, bytes: as it travels, and again after decompression. */
export type BodyLimits = { readonly compressed: number; readonly decompressed: number };

/** The OpenTelemetry Collector's own limit since CVE-2024-36129. */
export const defaultBodyLimits: BodyLimits = {
  compressed: 20 * 1024 * 1024,
  decompressed: 20 * 1024 * 1024,
};

const chunkSize = 64 * 1024;

const decompressors: Readonly<Record<string, () => Transform>> = {
  gzip: () => zlib.createGunzip({ chunkSize }),
  "x-gzip": () => zlib.createGunzip({ chunkSize }),
  deflate: () => zlib.createInflate({ chunkSize }),
  br: () => zlib.createBrotliDecompress({ chunkSize }),
};

/**
 * The whole body, decompressed as `encoding` (Content-Encoding) says. Stops reading as soon as a
 * limit is passed, so a bomb costs no more than the limit. Throws `too-large`, `request-invalid`
 * for bytes that are not so encoded or cut short, `media-type-unsupported` for another encoding.
 */
export async function readBody(
  payload: Readable,
  encoding: string | undefined,
  limits: BodyLimits,
): Promise<Buffer> {
  const name = (encoding ?? "identity").trim().toLowerCase();
  if (name === "identity" || name === "") {
    return collect(payload, limits.compressed, "body").catch(refused);
  }
  const create = Object.hasOwn(decompressors, name) ? decompressors[name] : undefined;
  if (create === undefined) {
    throw new LightningError(
      "media-type-unsupported",
      `Content-Encoding: read ${name.slice(0, 80)}, allowed are identity, gzip, deflate and br`,
      { field: "Content-Encoding" },
    );
  }
  return decompress(payload, create(), name, limits);
}

async function decompress(
  payload: Readable,
  inflate: Transform,
  name: string,
  limits: BodyLimits,
): Promise<Buffer> {
  const whole = collect(inflate, limits.decompressed, "decompressed body");
  const feed = collectInto(payload, limits.compressed, inflate);
  try {
    const [bytes] = await Promise.all([whole, feed]);
    return bytes;
  } catch (error) {
    if (error instanceof LightningError) throw error;
    throw new LightningError("request-invalid", `body is not ${name}: ${messageOf(error)}`, {
      cause: error,
      field: "body",
    });
  } finally {
    inflate.destroy();
    whole.catch(() => undefined);
    feed.catch(() => undefined);
  }
}

/** Feeds a stream into another at the reader's pace and counts what passes. */
async function collectInto(payload: Readable, limit: number, into: Transform): Promise<void> {
  let size = 0;
  let failed = false;
  into.on("error", () => {
    failed = true;
  });
  for await (const chunk of sent(payload)) {
    size += chunk.length;
    if (size > limit) throw tooLarge("body", limit);
    if (failed || into.destroyed) return;
    if (!into.write(chunk)) await drained(into);
  }
  into.end();
}

/**
 * All of a stream, which is left as it is beyond the limit: the answer still has to go out, whatever
 * becomes of the sender. With listeners, as an iterator of a stream, its promises and its watching for
 * the end cost much of a small request.
 */
function collect(stream: Readable, limit: number, what: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (done: () => void): void => {
      stream.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
      done();
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limit) return;
      settle(() => reject(tooLarge(what, limit)));
      stream.on("error", () => undefined).pause();
    };
    const onEnd = (): void => settle(() => resolve(joined(chunks, size)));
    const onCut = (cause?: Error): void =>
      settle(() => reject(cause ?? new Error("the stream closed before its end")));
    if (stream.destroyed) return onCut(stream.errored ?? undefined);
    stream.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
  });
}

function joined(chunks: readonly Buffer[], size: number): Buffer {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size);
}

/** Chunks of a request's body; `request-invalid` when the sender hangs up in the middle. */
async function* sent(payload: Readable): AsyncGenerator<Buffer, void, void> {
  try {
    // Left as it is on an early return, too.
    yield* payload.iterator({ destroyOnReturn: false });
  } catch (cause) {
    refused(cause);
  }
}

function refused(cause: unknown): never {
  if (cause instanceof LightningError) throw cause;
  const message = "body is cut short: the connection closed";
  throw new LightningError("request-invalid", message, { cause, field: "body" });
}

function drained(into: Transform): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ["drain", "error", "close"]) into.off(event, done);
      resolve();
    };
    for (const event of ["drain", "error", "close"]) into.on(event, done);
  });
}

function tooLarge(what: string, limit: number): LightningError {
  return new LightningError("too-large", `${what} is larger than ${limit} bytes`, {
    field: "body",
    limit,
  });
}
