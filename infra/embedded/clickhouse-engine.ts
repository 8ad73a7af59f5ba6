import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { engineException, exception } from "./clickhouse-exception.ts";
import { quote } from "./clickhouse-sql.ts";
import { Semaphore } from "./semaphore.ts";

type Connection = { readonly connection: unique symbol };
type StreamHandle = { readonly stream: unique symbol };
type Written = {
  readonly elapsed: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
};
type Read = {
  readonly bytes: Buffer;
  readonly elapsed: number;
  readonly rowsRead: number;
  readonly bytesRead: number;
};

/** The functions of chdb's addon that we use; all but the last line of each pair run off our thread. */
type Addon = {
  EngineVersion(): string;
  CreateConnection(path: string): Connection;
  CloseConnection(connection: Connection): void;
  QueryAsyncConnection(connection: Connection, sql: string, format: string): Promise<Read>;
  InsertRawAsyncConnection(
    connection: Connection,
    sql: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<Written>;
  StreamQuery(connection: Connection, sql: string, format: string): StreamHandle;
  StreamFetch(stream: StreamHandle): Promise<{ readonly done: boolean; readonly bytes: Buffer }>;
  StreamCancel(stream: StreamHandle): void;
};

/**
 * chdb's public `Session` cannot say how many rows an INSERT wrote and wants a table's name instead
 * of a statement, so we use the addon below it, the same instance that `Session` uses.
 */
function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const loader = join(dirname(require.resolve("chdb/package.json")), "dist", "loader.js");
  return (require(loader) as { loadNative(): Addon }).loadNative();
}

/** The engine's version without opening a data folder: `26.7.3`. */
export function engineVersion(): string {
  return loadAddon().EngineVersion();
}

/** One statement with all that decides how it runs. */
export type Work = {
  readonly sql: string;
  readonly format: string;
  readonly database: string | undefined;
  /** Settings and `param_` values, as text. */
  readonly settings: ReadonlyMap<string, string>;
};

export type Counts = {
  readonly elapsed: number;
  readonly rowsRead: number;
  readonly bytesRead: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
};

export type Engine = {
  readonly version: string;
  readonly timezone: string;
  /** Runs a statement and returns its whole result. */
  query(work: Work, signal?: AbortSignal): Promise<{ bytes: Buffer; counts: Counts }>;
  /** Runs an INSERT that finds its data by itself. */
  insert(work: Work, signal?: AbortSignal): Promise<{ counts: Counts }>;
  /** Yields a result chunk by chunk; only for formats whose chunks can be put end to end. */
  stream(work: Work, signal?: AbortSignal): AsyncGenerator<Buffer>;
  /** Refuses new work, cancels what runs, and closes when it has ended. */
  close(): Promise<void>;
};

/** Waiting statements before new ones are refused, as `max_concurrent_queries` would. */
const queueLimit = 1000;

/**
 * Opens the ClickHouse engine on a data folder. What was measured of chdb 3.4 (ClickHouse 26.7), two
 * cores:
 * - Every asynchronous call blocks one thread of libuv's pool and never the event loop; the pool
 *   (four threads unless UV_THREADPOOL_SIZE says more) is also zlib's and the file system's. Hence
 *   the two queues here: reads cannot keep inserts waiting, and one thread is left for the others.
 * - Only starting a stream runs on our thread, 1 to 2 ms, but with the scalar subqueries in it, which
 *   can take seconds: such statements are never streamed (`streamable` in clickhouse-sql.ts).
 * - A connection costs 0.15 ms and carries its own settings, parameters and database, so each
 *   statement has one to itself and nothing leaks from one to the next.
 * - A point query costs 2 ms of CPU, most of it planning.
 * - A running query is cancelled with KILL QUERY from another connection, found by its log_comment.
 */
export async function openEngine(path: string, poolThreads: number): Promise<Engine> {
  const addon = loadAddon();
  // The first connection opens the data folder and keeps it open.
  const keeper = addon.CreateConnection(path);
  const about = await addon.QueryAsyncConnection(
    keeper,
    "SELECT version(), timezone()",
    "TabSeparated",
  );
  const [version = "", timezone = ""] = about.bytes.toString().trim().split("\t");
  const writes = Math.max(1, Math.floor(poolThreads / 4));
  const run = new Runner(addon, path, keeper, {
    read: new Semaphore(Math.max(1, poolThreads - writes - 1), queueLimit),
    write: new Semaphore(writes, queueLimit),
  });
  return {
    version,
    timezone,
    query: (work, signal) =>
      run.alone("read", work, signal, async (connection) => {
        const read = await addon.QueryAsyncConnection(connection, work.sql, work.format);
        return { bytes: read.bytes, counts: { ...read, rowsWritten: 0, bytesWritten: 0 } };
      }),
    insert: (work, signal) =>
      run.alone("write", work, signal, async (connection) => {
        const none = Buffer.alloc(0);
        const done = await addon.InsertRawAsyncConnection(connection, work.sql, none, false);
        return { counts: { ...done, rowsRead: done.rowsWritten, bytesRead: done.bytesWritten } };
      }),
    stream: (work, signal) => run.stream(work, signal),
    close: () => run.close(),
  };
}

class Runner {
  readonly #addon: Addon;
  readonly #path: string;
  readonly #keeper: Connection;
  readonly #gates: { readonly read: Semaphore; readonly write: Semaphore };
  /** log_comment of what runs, and the promise of its end. */
  readonly #running = new Map<string, Promise<unknown>>();
  #closed = false;

  constructor(
    addon: Addon,
    path: string,
    keeper: Connection,
    gates: { readonly read: Semaphore; readonly write: Semaphore },
  ) {
    this.#addon = addon;
    this.#path = path;
    this.#keeper = keeper;
    this.#gates = gates;
  }

  async alone<R>(
    kind: "read" | "write",
    work: Work,
    signal: AbortSignal | undefined,
    body: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const { connection, leave } = await this.#begin(kind, work, signal);
    try {
      return await body(connection);
    } catch (error) {
      throw engineException(error);
    } finally {
      leave();
    }
  }

  async *stream(work: Work, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    const { connection, leave } = await this.#begin("read", work, signal);
    let handle: StreamHandle | undefined;
    try {
      handle = this.#addon.StreamQuery(connection, work.sql, work.format);
      for (;;) {
        const chunk = await this.#addon.StreamFetch(handle);
        if (chunk.done) return;
        yield chunk.bytes;
      }
    } catch (error) {
      throw engineException(error);
    } finally {
      if (handle !== undefined) this.#addon.StreamCancel(handle);
      leave();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const id of this.#running.keys()) this.#kill(id);
    await Promise.allSettled(this.#running.values());
    this.#addon.CloseConnection(this.#keeper);
  }

  async #begin(kind: "read" | "write", work: Work, signal: AbortSignal | undefined) {
    const release = await this.#gates[kind].enter();
    if (release === undefined) throw exception(202, "Too many simultaneous queries");
    if (this.#closed || signal?.aborted === true) {
      release();
      throw engineException("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)");
    }
    const id = randomUUID();
    const connection = this.#addon.CreateConnection(this.#path);
    const abort = () => this.#kill(id);
    signal?.addEventListener("abort", abort, { once: true });
    let end = () => {};
    this.#running.set(
      id,
      new Promise<void>((done) => {
        end = done;
      }),
    );
    const leave = () => {
      signal?.removeEventListener("abort", abort);
      this.#running.delete(id);
      this.#addon.CloseConnection(connection);
      release();
      end();
    };
    try {
      await this.#prepare(connection, work, id);
    } catch (error) {
      leave();
      throw engineException(error);
    }
    return { connection, leave };
  }

  async #prepare(connection: Connection, work: Work, id: string): Promise<void> {
    if (work.database !== undefined) {
      const name = work.database.replace(/[\\`]/g, "\\$&");
      await this.#addon.QueryAsyncConnection(connection, `USE \`${name}\``, "Null");
    }
    const settings = new Map(work.settings);
    settings.set("log_comment", `${settings.get("log_comment") ?? ""}#${id}`);
    // readonly forbids any SET after itself, so all are set at once.
    const list = [...settings].map(([name, value]) => `${name}=${quote(value)}`);
    await this.#addon.QueryAsyncConnection(connection, `SET ${list.join(", ")}`, "Null");
  }

  #kill(id: string): void {
    const sql = `KILL QUERY WHERE endsWith(Settings['log_comment'], '#${id}') ASYNC`;
    this.#addon.QueryAsyncConnection(this.#keeper, sql, "Null").catch(() => {});
  }
}
