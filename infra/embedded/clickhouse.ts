import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { totalmem } from "node:os";
import { join } from "node:path";
import type { BaseLogger } from "pino";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { type Engine, engineVersion, openEngine } from "./clickhouse-engine.ts";
import { buildServer } from "./clickhouse-http.ts";
import { compareVersions } from "./kafka-storage.ts";
import { lockFolder } from "./owner.ts";
import { portInUse } from "./port.ts";

export type ClickHouseOptions = {
  /** The data folder; the engine keeps to `<dataDir>/clickhouse`. */
  readonly dataDir: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly host?: string;
  readonly log: BaseLogger;
  /** Threads of libuv's pool in this process (UV_THREADPOOL_SIZE); as many statements run at once. */
  readonly poolThreads?: number;
  readonly maxInsertBytes?: number;
  readonly maxQueryBytes?: number;
};

export type ClickHouse = {
  readonly url: string;
  /** The engine's, such as `26.7.2.1`. */
  readonly version: string;
  close(): Promise<void>;
};

/**
 * Opens the ClickHouse engine (chdb) on the data folder and serves ClickHouse's HTTP protocol.
 *
 * @throws LightningError `data-folder-locked`, `data-folder-incompatible`, `port-in-use`,
 *   `embedded-start-failed`
 */
export async function startClickHouseServer(options: ClickHouseOptions): Promise<ClickHouse> {
  const { dataDir, port, host = "127.0.0.1", log, poolThreads = 4 } = options;
  const folder = join(dataDir, "clickhouse");
  const spoolDir = join(folder, "incoming");
  const unlock = await lockFolder(join(folder, "owner.lock"), `the ClickHouse data in ${folder}`);
  let engine: Engine | undefined;
  try {
    // What a killed process left of INSERTs that were never answered.
    rmSync(spoolDir, { recursive: true, force: true });
    mkdirSync(spoolDir);
    engine = await open(folder, poolThreads);
    const server = buildServer({
      engine,
      spoolDir,
      maxInsertBytes: options.maxInsertBytes ?? 256 * 1024 * 1024,
      maxQueryBytes: options.maxQueryBytes ?? 64 * 1024 * 1024,
      memoryBytes: Math.floor(totalmem() / 2),
      log,
    });
    const url = await listen(server, port, host);
    log.info({ url, version: engine.version }, "clickhouse started");
    return { url, version: engine.version, close: closeOnce(server, engine, unlock) };
  } catch (error) {
    await engine?.close();
    unlock();
    throw error;
  }
}

function closeOnce(server: Server, engine: Engine, unlock: () => void): () => Promise<void> {
  let closing: Promise<void> | undefined;
  const close = async () => {
    const closed = new Promise((done) => server.close(done));
    server.closeIdleConnections();
    await engine.close();
    server.closeAllConnections();
    await closed;
    unlock();
  };
  return () => {
    closing ??= close();
    return closing;
  };
}

async function open(folder: string, poolThreads: number): Promise<Engine> {
  const versionFile = join(folder, "version");
  const made = readText(versionFile)?.trim();
  const ours = engineVersion();
  if (made !== undefined && compareVersions(made, ours) > 0) {
    throw new LightningError(
      "data-folder-incompatible",
      `the data folder ${folder} was last used by ClickHouse ${made}, this is ${ours}: ` +
        "choose another with --data, or begin anew with --fresh",
      { folder },
    );
  }
  writeFileSync(versionFile, `${ours}\n`);
  try {
    return await openEngine(join(folder, "data"), poolThreads);
  } catch (cause) {
    throw new LightningError(
      "embedded-start-failed",
      `ClickHouse could not open ${folder}: ${messageOf(cause)}`,
      { cause, folder },
    );
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function listen(server: Server, port: number, host: string): Promise<string> {
  return new Promise((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      fail(error.code === "EADDRINUSE" ? portInUse(port, "ClickHouse") : error),
    );
    server.listen(port, host, () => {
      const address = server.address();
      const bound = address !== null && typeof address === "object" ? address.port : port;
      done(`http://${host}:${bound}`);
    });
  });
}
