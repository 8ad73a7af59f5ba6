import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { BaseLogger } from "pino";
import { type ErrorCode, LightningError, reactions } from "../../schemas/errors.ts";
import { setNice, standBack } from "../process-priority.ts";

export type ClickHouseProcessOptions = {
  /** The data folder; the engine keeps to `<dataDir>/clickhouse`. */
  readonly dataDir: string;
  /** Port on 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  readonly log: BaseLogger;
};

export type ClickHouseProcess = {
  readonly url: string;
  readonly version: string;
  readonly pid: number;
  /** Resolves when the process is gone, with how it ended, asked to or not. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
};

/** What the process tells the one that started it. */
export type ClickHouseMessage =
  | { readonly ready: { readonly url: string; readonly version: string } }
  | { readonly failed: { readonly code: string; readonly message: string } };

/**
 * Statements that run at once, and threads of libuv's pool in the process: more than there are cores,
 * so that a few long queries do not keep the short ones waiting.
 */
const poolThreads = 12;
const stopTimeoutMs = 10_000;

/**
 * Starts the embedded ClickHouse in a process of its own: its memory and its crashes stay there, and
 * it ends with us, even when we are killed (the channel between us closes).
 *
 * @throws LightningError `data-folder-locked`, `data-folder-incompatible`, `port-in-use`,
 *   `embedded-start-failed`
 */
export async function launchClickHouse(
  options: ClickHouseProcessOptions,
): Promise<ClickHouseProcess> {
  const child = spawnNode([
    options.dataDir,
    String(options.port),
    String(poolThreads),
    options.log.level,
  ]);
  let expected = true;
  const exited = new Promise<string>((done) => {
    child.once("error", (error) => done(error.message));
    child.once("exit", (code, signal) => {
      const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
      if (!expected) options.log.error({ pid: child.pid, how }, "clickhouse ended unasked");
      done(how);
    });
  });
  const { url, version } = await ready(child, exited);
  expected = false;
  return {
    url,
    version,
    pid: child.pid ?? 0,
    exited,
    async stop() {
      expected = true;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function spawnNode(words: readonly string[]): ChildProcess {
  const main = fileURLToPath(new URL("clickhouse-main.ts", import.meta.url));
  const loader = import.meta.resolve("tsx");
  const child = spawn(
    // The size of libuv's pool is read once, from the environment.
    "env",
    [`UV_THREADPOOL_SIZE=${poolThreads}`, process.execPath, "--import", loader, main, ...words],
    // A session of its own: Ctrl-C reaches us alone, and sinks can still write while they stop.
    { stdio: ["ignore", "inherit", "inherit", "ipc"], detached: true },
  );
  if (child.pid !== undefined) setNice(child.pid, standBack);
  return child;
}

function ready(
  child: ChildProcess,
  exited: Promise<string>,
): Promise<{ readonly url: string; readonly version: string }> {
  return new Promise((done, fail) => {
    child.once("message", (message: ClickHouseMessage) => {
      if ("ready" in message) return done(message.ready);
      const { code, message: text } = message.failed;
      const known = code in reactions ? (code as ErrorCode) : "embedded-start-failed";
      fail(new LightningError(known, text));
    });
    exited.then((how) => {
      fail(new LightningError("embedded-start-failed", `ClickHouse did not start: it ${how}`));
    });
  });
}
