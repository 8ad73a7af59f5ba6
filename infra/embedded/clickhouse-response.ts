import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Transform, Writable } from "node:stream";
import { constants, createBrotliCompress, createDeflate, createGzip } from "node:zlib";
import { messageOf } from "../../schemas/errors.ts";
import type { Counts, Engine } from "./clickhouse-engine.ts";
import { clickhouseCode, statusOf } from "./clickhouse-exception.ts";
import { headerOf } from "./clickhouse-request.ts";

export type Reply = {
  readonly format: string;
  readonly queryId: string;
  readonly compress: boolean;
  readonly counts: Counts | undefined;
};

const contentTypes: readonly (readonly [RegExp, string])[] = [
  [/^JSON\w*(EachRow|Lines)/i, "application/x-ndjson; charset=UTF-8"],
  [/^(JSON|GeoJSON)/i, "application/json; charset=UTF-8"],
  [/^CSVWithNames/i, "text/csv; charset=UTF-8; header=present"],
  [/^CSV/i, "text/csv; charset=UTF-8; header=absent"],
  [/^(TSV|TabSeparated)/i, "text/tab-separated-values; charset=UTF-8"],
  [/^XML/i, "application/xml; charset=UTF-8"],
  [
    /^(Native|RowBinary|Parquet|Arrow|ORC|Avro|Protobuf|MsgPack|BSON|CapnProto|Npy)/i,
    "application/octet-stream",
  ],
  [/^/, "text/plain; charset=UTF-8"],
];

function contentType(format: string): string {
  return contentTypes.find(([pattern]) => pattern.test(format))?.[1] ?? "text/plain";
}

function summary(counts: Counts): string {
  return JSON.stringify({
    read_rows: String(counts.rowsRead),
    read_bytes: String(counts.bytesRead),
    written_rows: String(counts.rowsWritten),
    written_bytes: String(counts.bytesWritten),
    total_rows_to_read: "0",
    result_rows: String(counts.rowsRead),
    result_bytes: String(counts.bytesRead),
    elapsed_ns: String(Math.round(counts.elapsed * 1e9)),
  });
}

// Level 1: between processes of one machine time counts for more than bytes.
const encoders: readonly (readonly [name: string, create: () => Transform])[] = [
  ["gzip", () => createGzip({ level: 1 })],
  ["br", () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ["deflate", () => createDeflate({ level: 1 })],
];

function writeHead(response: ServerResponse, engine: Engine, reply: Reply): void {
  response.setHeader("Content-Type", contentType(reply.format));
  response.setHeader("X-ClickHouse-Server-Display-Name", "lightning");
  response.setHeader("X-ClickHouse-Query-Id", reply.queryId);
  response.setHeader("X-ClickHouse-Format", reply.format);
  response.setHeader("X-ClickHouse-Timezone", engine.timezone);
  if (reply.counts !== undefined) response.setHeader("X-ClickHouse-Summary", summary(reply.counts));
}

/** Sends a whole result. */
export async function sendResult(
  request: IncomingMessage,
  response: ServerResponse,
  engine: Engine,
  reply: Reply,
  bytes: Buffer,
): Promise<void> {
  writeHead(response, engine, reply);
  const out = bytes.length < 1024 ? response : encoded(request, response, reply.compress);
  if (out === response) response.setHeader("Content-Length", bytes.length);
  out.end(bytes);
  if (!response.writableFinished && !response.destroyed) await once(response, "close");
}

/**
 * Sends a result as it comes. An exception after the first chunk is told the way ClickHouse 25.11 and
 * later do (a tagged block at the end), and the connection is cut, for clients that do not know it.
 */
export async function sendStream(
  request: IncomingMessage,
  response: ServerResponse,
  engine: Engine,
  reply: Reply,
  chunks: AsyncGenerator<Buffer>,
): Promise<void> {
  // The first chunk decides: an error before it still gets its own status.
  const first = await chunks.next();
  const tag = randomBytes(8).toString("hex");
  writeHead(response, engine, reply);
  response.setHeader("X-ClickHouse-Exception-Tag", tag);
  const out = encoded(request, response, reply.compress);
  try {
    for (let next = first; next.done !== true; next = await chunks.next()) {
      if (response.destroyed) return;
      if (!out.write(next.value)) await drained(out, response);
    }
    out.end();
  } catch (error) {
    const message = exceptionText(error, engine.version);
    const length = Buffer.byteLength(message);
    const block = `\r\n__exception__\r\n${tag}\r\n${message}${length} ${tag}\r\n__exception__\r\n`;
    out.end(block);
  } finally {
    await chunks.return(undefined);
  }
}

/** Resolves when more can be written, or when nobody reads any more. */
function drained(out: Writable, response: ServerResponse): Promise<void> {
  return new Promise((done) => {
    const end = () => {
      out.off("drain", end);
      response.off("close", end);
      done();
    };
    out.on("drain", end);
    response.on("close", end);
  });
}

function encoded(request: IncomingMessage, response: ServerResponse, compress: boolean): Writable {
  const accepted = (headerOf(request, "accept-encoding") ?? "").toLowerCase();
  const encoder = compress ? encoders.find(([name]) => accepted.includes(name)) : undefined;
  if (encoder === undefined) return response;
  response.setHeader("Content-Encoding", encoder[0]);
  const stream = encoder[1]();
  stream.pipe(response);
  response.once("close", () => stream.destroy());
  return stream;
}

function exceptionText(error: unknown, version: string): string {
  return `${messageOf(error)} (version ${version} (official build))\n`;
}

/** Answers with an exception; does nothing when the client is gone or part of a result was sent. */
export function sendException(
  request: IncomingMessage,
  response: ServerResponse,
  version: string,
  error: unknown,
): void {
  if (response.destroyed || response.headersSent) {
    response.destroy();
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.statusCode = statusOf(error);
  response.setHeader("X-ClickHouse-Exception-Code", clickhouseCode(error));
  response.setHeader("Content-Type", "text/plain; charset=UTF-8");
  response.end(exceptionText(error, version));
  // What is left of the body is read away, so that the client gets to read the answer and can go on
  // with its connection; one that sends for ever is cut off.
  if (request.complete) return;
  request.unpipe();
  request.resume();
  const cut = setTimeout(() => request.complete || request.destroy(), 10_000).unref();
  request.once("close", () => clearTimeout(cut));
}
