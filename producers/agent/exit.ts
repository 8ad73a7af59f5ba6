import { messageOf } from "../../schemas/errors.ts";
import type { Log } from "./losses.ts";

const signals = ["SIGTERM", "SIGINT"] as const;

/**
 * Flushes before the process ends: when it has nothing more to do, and on SIGTERM and SIGINT, which
 * are raised again afterwards unless somebody else handles them too. `process.exit()` leaves no time
 * for it: await `flush` before. Returns what removes the hooks.
 */
export function installExitHooks(flush: () => Promise<void>, log: Log): () => void {
  const flushed = (): Promise<void> =>
    flush().catch((error: unknown) => {
      log("error", "spans not flushed at exit", { reason: messageOf(error) });
    });
  const beforeExit = (): void => {
    // Emitted again when the flush is done, which would flush, and go on, for ever.
    process.removeListener("beforeExit", beforeExit);
    void flushed();
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    // Once: a second signal is for somebody who will not wait for the flush.
    process.removeListener(signal, onSignal);
    void flushed().then(() => {
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  };
  process.on("beforeExit", beforeExit);
  for (const signal of signals) process.on(signal, onSignal);
  return () => {
    process.removeListener("beforeExit", beforeExit);
    for (const signal of signals) process.removeListener(signal, onSignal);
  };
}
