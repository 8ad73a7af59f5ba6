import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { BaseLogger } from "pino";
import { bodyOf, readAll, spool } from "./clickhouse-body.ts";
import type { Engine } from "./clickhouse-engine.ts";
import { clickhouseCode, exception } from "./clickhouse-exception.ts";
import { type Ask, authenticate, headerOf, readAsk, readForm } from "./clickhouse-request.ts";
import { type Reply, sendException, sendResult, sendStream } from "./clickhouse-response.ts";
import { insertFromFile, isStreamFormat, readStatement, type Statement } from "./clickhouse-sql.ts";

/** What every request needs. */
export type Front = {
  readonly engine: Engine;
  /** Where the data of INSERTs waits for the engine. */
  readonly spoolDir: string;
  /** Largest data of an INSERT whose statement is in the URL, decompressed bytes. */
  readonly maxInsertBytes: number;
  /** Largest body that holds the statement itself, decompressed bytes: it is kept in memory. */
  readonly maxQueryBytes: number;
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
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
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

/** A statement that is ready to run. */
type Job = {
  readonly sql: string;
  readonly statement: Statement;
  /** Frees what it occupies. */
  done(): void;
};

async function readJob(
  front: Front,
  request: IncomingMessage,
  ask: Ask,
  bodyRead: boolean,
): Promise<Job> {
  const inUrl = readStatement(ask.query);
  if (inUrl.insert !== undefined) {
    check(inUrl);
    const limit = front.maxInsertBytes;
    const begun = Buffer.from(ask.query.slice(inUrl.insert.dataStart));
    const data = joined(begun, bodyRead ? empty() : bodyOf(request, limit));
    return spoolJob(front, ask.query, inUrl, data);
  }
  const rest = bodyRead ? Buffer.alloc(0) : await readAll(bodyOf(request, front.maxQueryBytes));
  if (rest.length === 0) return plainJob(ask.query, inUrl);
  const whole = ask.query === "" ? rest : Buffer.concat([Buffer.from(`${ask.query}\n`), rest]);
  // One character per byte, so that offsets in the text are offsets in the buffer.
  const head = whole.subarray(0, headBytes).toString("latin1");
  const statement = readStatement(head);
  if (statement.insert === undefined) return plainJob(whole.toString(), statement);
  check(statement);
  return spoolJob(
    front,
    head,
    statement,
    joined(whole.subarray(statement.insert.dataStart), empty()),
    true,
  );
}

/** How much of a body is searched for the beginning of an INSERT's data. */
const headBytes = 256 * 1024;

function plainJob(sql: string, statement: Statement): Job {
  check(statement);
  return { sql, statement, done() {} };
}

function check(statement: Statement): void {
  if (statement.verb === "") throw exception(62, "Empty query");
  if (statement.second !== undefined) {
    const at = statement.second + 1;
    throw exception(
      62,
      `Syntax error (Multi-statements are not allowed): failed at position ${at}`,
    );
  }
  if (!statement.intoOutfile) return;
  throw statement.verb === "INSERT"
    ? exception(78, "Query has infile and was send directly to server")
    : exception(358, "INTO OUTFILE is not allowed");
}

async function spoolJob(
  front: Front,
  sql: string,
  statement: Statement,
  data: AsyncIterable<Buffer>,
  latin1 = false,
): Promise<Job> {
  const path = join(front.spoolDir, `${randomUUID()}.data`);
  const done = await spool(path, data);
  const parts = statement.insert;
  if (parts === undefined) return { sql, statement, done };
  const bytePath = Buffer.from(path).toString("latin1");
  const fromFile = insertFromFile(sql, parts, latin1 ? bytePath : path);
  return { sql: latin1 ? Buffer.from(fromFile, "latin1").toString() : fromFile, statement, done };
}

async function* joined(begun: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (begun.length > 0) yield begun;
  let first = begun.length > 0;
  for await (const chunk of rest) {
    if (first) yield Buffer.from("\n");
    first = false;
    yield chunk;
  }
}

async function* empty(): AsyncGenerator<Buffer> {}

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
  const { bytes, counts } = await engine.query(work, gone.signal);
  return sendResult(request, response, engine, { ...reply, counts }, bytes);
}
