import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { bodyOf, readAll, spool } from "./clickhouse-body.ts";
import { exception } from "./clickhouse-exception.ts";
import type { Ask } from "./clickhouse-request.ts";
import { insertFromFile, readStatement, type Statement } from "./clickhouse-sql.ts";

export type JobLimits = {
  /** Where the data of INSERTs waits for the engine. */
  readonly spoolDir: string;
  /** Largest data of an INSERT whose statement is in the URL, decompressed bytes. */
  readonly maxInsertBytes: number;
  /** Largest body that holds the statement itself, decompressed bytes: it is kept in memory. */
  readonly maxQueryBytes: number;
};

/** A statement that is ready to run. */
export type Job = {
  readonly sql: string;
  readonly statement: Statement;
  /** Frees what it occupies. */
  done(): void;
};

/**
 * Puts the statement together from URL and body, as ClickHouse does: the body follows the URL's
 * `query`. The data of an INSERT goes into a file, from where the engine takes it.
 */
export async function readJob(
  limits: JobLimits,
  request: IncomingMessage,
  ask: Ask,
  bodyRead: boolean,
): Promise<Job> {
  const inUrl = readStatement(ask.query);
  if (inUrl.insert !== undefined) {
    const begun = Buffer.from(ask.query.slice(inUrl.insert.dataStart));
    return spoolRequest(limits, request, ask.query, inUrl, begun, bodyRead);
  }
  const body = bodyRead ? empty() : bodyOf(request, limits.maxQueryBytes);
  const rest = await readAll(body);
  if (rest.length === 0) return plainJob(ask.query, inUrl);
  return bodyJob(
    limits,
    ask.query === "" ? rest : Buffer.concat([Buffer.from(`${ask.query}\n`), rest]),
  );
}

/** A body is searched for the beginning of an INSERT's data no further than this, bytes. */
const headBytes = 256 * 1024;

async function bodyJob(limits: JobLimits, whole: Buffer): Promise<Job> {
  // One character per byte, so that offsets in the text are offsets in the buffer.
  const head = whole.subarray(0, headBytes).toString("latin1");
  const statement = readStatement(head);
  if (statement.insert === undefined) {
    const sql = whole.toString();
    return plainJob(sql, readStatement(sql));
  }
  check(statement);
  const data = whole.subarray(statement.insert.dataStart);
  const path = newPath(limits);
  const done = await spool(path, joined(data, empty()));
  const sql = insertFromFile(head, statement.insert, Buffer.from(path).toString("latin1"));
  return { sql: Buffer.from(sql, "latin1").toString(), statement, done };
}

async function spoolRequest(
  limits: JobLimits,
  request: IncomingMessage,
  sql: string,
  statement: Statement,
  begun: Buffer,
  bodyRead: boolean,
): Promise<Job> {
  check(statement);
  const path = newPath(limits);
  const rest = bodyRead ? empty() : bodyOf(request, limits.maxInsertBytes);
  const done = await spool(path, joined(begun, rest));
  const parts = statement.insert;
  const fromFile = parts === undefined ? sql : insertFromFile(sql, parts, path);
  return { sql: fromFile, statement, done };
}

function newPath(limits: JobLimits): string {
  return join(limits.spoolDir, `${randomUUID()}.data`);
}

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
