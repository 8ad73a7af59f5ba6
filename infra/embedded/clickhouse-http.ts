import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { BaseLogger } from "pino";
import { bodyOf, readAll } from "./clickhouse-body.ts";
import type { Engine } from "./clickhouse-engine.ts";
import { clickhouseCode } from "./clickhouse-exception.ts";
import { type Job, type JobLimits, readJob } from "./clickhouse-job.ts";
import {
  type Ask,
  authenticate,
  headerOf,
  readAsk,
  readForm,
  urlOf,
} from "./clickhouse-request.ts";
import { type Reply, sendException, sendResult, sendStream } from "./clickhouse-response.ts";
import { isStreamFormat } from "./clickhouse-sql.ts";

/** What every request needs. */
export type Front = JobLimits & {
  readonly engine: Engine;
  /** `max_memory_usage` of a statement that sets none, bytes. */
  readonly memoryBytes: number;
  readonly log: BaseLogger;
};

/** The HTTP interface of ClickHouse in front of the engine. */
export function buildServer(front: Front): Server {
  // A statement in the URL counts as a header.
  const server = createServer({ maxHeaderSize: 1024 * 1024 }, (request, response) => {
    handle(front, request, response).catch((error) => {
      if (clickhouseCode(error) === 0 && !request.destroyed) {
        front.log.error({ err: error }, "clickhouse request failed");
      }
      sendException(request, response, front.engine.version, error);
    });
  });
  server.keepAliveTimeout = 30_000;
  return server;
}

async function handle(front: Front, request: IncomingMessage, response: ServerResponse) {
  const { pathname, searchParams } = urlOf(request);
  const reading = request.method === "GET" || request.method === "HEAD";
  if (pathname === "/ping" || pathname === "/replicas_status") return sendOk(response);
  if (pathname !== "/") return sendNoHandle(response, pathname);
  if (reading && !searchParams.has("query")) return sendOk(response);
  authenticate(request);
  const contentType = headerOf(request, "content-type") ?? "";
  const multipart = /^multipart\/form-data/i.test(contentType);
  const form = multipart
    ? readForm(await readAll(bodyOf(request, front.maxQueryBytes)), contentType)
    : [];
  const ask = readAsk(request, form);
  ask.settings.set("implicit_select", ask.settings.get("implicit_select") ?? "0");
  if (!ask.settings.has("max_memory_usage")) {
    ask.settings.set("max_memory_usage", String(front.memoryBytes));
  }
  const job = await readJob(front, request, ask, multipart);
  try {
    await run(front, request, response, ask, job);
  } finally {
    job.done();
  }
}

function sendOk(response: ServerResponse): void {
  response.setHeader("Content-Type", "text/html; charset=UTF-8");
  response.end("Ok.\n");
}

function sendNoHandle(response: ServerResponse, path: string): void {
  response.statusCode = 404;
  response.setHeader("Content-Type", "text/plain; charset=UTF-8");
  response.end(`There is no handle ${path}\n\nUse / or /ping for health checks.\n`);
}

/** A result that cannot be streamed stands in memory as a whole: its limit unless the client sets one. */
const maxBufferedBytes = String(512 * 1024 * 1024);

async function run(
  { engine }: Front,
  request: IncomingMessage,
  response: ServerResponse,
  ask: Ask,
  { sql, statement }: Job,
): Promise<void> {
  const format = statement.format ?? ask.defaultFormat;
  const work = { sql, format: ask.defaultFormat, database: ask.database, settings: ask.settings };
  const reply: Reply = {
    format,
    queryId: ask.queryId ?? randomUUID(),
    compress: ask.compress,
    counts: undefined,
  };
  if (statement.verb === "INSERT") {
    const { counts } = await engine.insert(work);
    return sendResult(request, response, engine, { ...reply, counts }, Buffer.alloc(0));
  }
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  if (statement.streamable && isStreamFormat(format) && !ask.waitEnd) {
    return sendStream(request, response, engine, reply, engine.stream(work, gone.signal));
  }
  if (!ask.settings.has("max_result_bytes")) ask.settings.set("max_result_bytes", maxBufferedBytes);
  const { bytes, counts } = await engine.query(work, gone.signal);
  return sendResult(request, response, engine, { ...reply, counts }, bytes);
}
