import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { type ErrorCode, LightningError, reactions } from "../schemas/errors.ts";
import { childEnvironment, type VariableName } from "./config.ts";
import { setNice } from "./process-priority.ts";
import type { RolesMessage } from "./run-roles.ts";

const launcher = fileURLToPath(new URL("./lightning.js", import.meta.url));

export type Supervised = {
  /** Process id of the instance that runs now. */
  pid(): number | undefined;
  /** Addresses the first instance told, by role. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Rejects when the process keeps failing. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
};

/**
 * Flags of every process of roles. Records live for one commit: with V8's 16 MiB many of them outlive
 * the young generation and have to be collected with the old one.
 */
export const nodeFlags: readonly string[] = ["--max-semi-space-size=64"];

const restartMs = { first: 200, most: 5000 };
const stopWithinMs = 15_000;

/**
 * Runs `lightning <args>` as a child, waits until it is ready and starts it again whenever it ends
 * unasked: the log makes a killed process whole.
 *
 * @param nice how far it stands back behind other processes; see {@link setNice}.
 * @throws LightningError what the child could not start for.
 */
export async function supervise(
  args: readonly string[],
  settings: Partial<Record<VariableName, string>>,
  logger: Logger,
  nice = 0,
): Promise<Supervised> {
  let child: ChildProcess | undefined;
  let stopping = false;
  let pause = restartMs.first;
  let giveUp = (_error: unknown): void => undefined;
  const failed = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  failed.catch(() => undefined);

  async function start(): Promise<Readonly<Record<string, string>>> {
    const started = spawn(process.execPath, [...nodeFlags, launcher, ...args], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: childEnvironment(settings),
      // Ctrl-C is ours to pass on, in the right order.
      detached: true,
    });
    child = started;
    if (nice !== 0 && started.pid !== undefined) setNice(started.pid, nice);
    started.once("exit", (code, signal) => {
      if (stopping) return;
      logger.warn({ args, code, signal }, "process ended unasked, starting it again");
      setTimeout(() => {
        if (!stopping) start().catch(giveUp);
      }, pause);
      pause = Math.min(restartMs.most, pause * 2);
    });
    return readyOf(started, args);
  }

  const addresses = await start();
  return {
    pid: () => child?.pid,
    addresses,
    failed,
    async stop() {
      stopping = true;
      if (child !== undefined) await endChild(child);
    },
  };
}

function readyOf(
  child: ChildProcess,
  args: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: RolesMessage) => {
      if ("ready" in message) return resolve(message.ready as Record<string, string>);
      const code =
        message.failed.code in reactions
          ? (message.failed.code as ErrorCode)
          : "embedded-start-failed";
      reject(new LightningError(code, message.failed.message));
    });
    child.once("exit", (code, signal) =>
      reject(
        new LightningError(
          "embedded-start-failed",
          `lightning ${args.join(" ")} ended with ${signal ?? code} before it was ready; its last words are above`,
        ),
      ),
    );
  });
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
  await gone;
  clearTimeout(timer);
}
