import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { messageOf } from "../../schemas/errors.ts";
import { exception } from "./clickhouse-exception.ts";
import { headerOf } from "./clickhouse-request.ts";
import { decodeLz4 } from "./lz4-frame.ts";

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * The request's body, decompressed, chunk by chunk. It ends with an exception once `limit` bytes of
 * decompressed data have passed. The request itself is left open, so that it can still be answered.
 */
export async function* bodyOf(request: IncomingMessage, limit: number): AsyncGenerator<Buffer> {
  let length = 0;
  try {
    for await (const chunk of decoded(request)) {
      length += (chunk as Buffer).length;
      if (length > limit) {
        throw exception(229, `request body is larger than ${limit} bytes (decompressed)`);
      }
      yield chunk as Buffer;
    }
  } catch (error) {
    const zlibError = /^(Z_|ERR__?(ZLIB|BROTLI))/.test(
      String((error as NodeJS.ErrnoException).code),
    );
    throw zlibError ? exception(354, `cannot decompress the body: ${messageOf(error)}`) : error;
  }
}

const keepOpen = { destroyOnReturn: false };

function decoded(request: IncomingMessage): AsyncIterable<unknown> {
  const encoding = (headerOf(request, "content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return request.iterator(keepOpen);
  if (encoding === "lz4") return decodeLz4(request.iterator(keepOpen) as AsyncIterable<Buffer>);
  const create = decoders[encoding];
  if (create === undefined) {
    throw exception(
      48,
      `Content-Encoding ${encoding} is not supported here: use gzip, deflate, br or lz4`,
    );
  }
  const decoder: Readable = request.pipe(create());
  request.once("error", (error) => decoder.destroy(error));
  request.once("close", () => request.complete || decoder.destroy(new Error("request aborted")));
  return decoder;
}

/** Reads a whole body into memory. */
export async function readAll(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

/**
 * Writes an INSERT's data into a file for the engine to read; returns the function that removes it.
 * The writes are synchronous: they end in the page cache, and the file is gone before it is flushed.
 */
export async function spool(path: string, data: AsyncIterable<Buffer>): Promise<() => void> {
  const file = openSync(path, "wx", 0o600);
  try {
    for await (const chunk of data) {
      for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
    }
  } catch (error) {
    rmSync(path, { force: true });
    const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
    throw full ? exception(243, "no space left on the device of the data folder") : error;
  } finally {
    closeSync(file);
  }
  return () => rmSync(path, { force: true });
}
