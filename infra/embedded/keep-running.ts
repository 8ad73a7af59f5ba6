import { setTimeout as sleep } from "node:timers/promises";
import type { BaseLogger } from "pino";
import { LightningError, messageOf } from "../../schemas/errors.ts";

/** Something that runs, may end by itself, and can be stopped: a broker, a database. */
export type Engine = {
  readonly exited: Promise<unknown>;
  stop(): Promise<void>;
};

export type KeptRunning<E> = {
  /** The one that runs now, or ran last. */
  current(): E;
  /** Rejects when it cannot be started again. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
};

const pauseMs = { first: 200, most: 5000 };
/** Longer than a broker killed with -9 needs to come back, and a port to be free again. */
const attempts = 8;

/**
 * Starts an engine and, whenever it ends unasked, starts it again: `start` gets the one before, to
 * put the new one where it was (the same port).
 */
export async function keepRunning<E extends Engine>(
  name: string,
  start: (before: E | undefined) => Promise<E>,
  log: BaseLogger,
): Promise<KeptRunning<E>> {
  let current = await start(undefined);
  const stopping = new AbortController();

  const watching = (async () => {
    for (;;) {
      await current.exited;
      if (stopping.signal.aborted) return;
      log.warn({ name }, "ended unasked, starting it again");
      current = await restart(name, () => start(current), log);
      if (stopping.signal.aborted) await current.stop();
    }
  })();
  const failed = new Promise<never>((_, reject) => {
    watching.catch((cause) => {
      const message = `${name} ended and cannot be started again: ${messageOf(cause)}`;
      reject(new LightningError("embedded-start-failed", message, { cause }));
    });
  });
  failed.catch(() => {});
  return {
    current: () => current,
    failed,
    async stop() {
      stopping.abort();
      await current.stop();
      await watching.catch(() => {});
    },
  };
}

async function restart<E>(name: string, start: () => Promise<E>, log: BaseLogger): Promise<E> {
  let pause = pauseMs.first;
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      log.warn({ err: error, name, attempt }, "cannot be started again yet");
      if (attempt === attempts) throw error;
    }
    await sleep(pause);
    pause = Math.min(pauseMs.most, pause * 2);
  }
}
