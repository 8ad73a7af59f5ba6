import type { Answer } from "../../producers/gateway/ports.ts";
import { passed } from "../watermark.ts";

/** Requests on their way through the log, and those who wait for what it makes of them. */
export type PendingAnswers = {
  /**
   * Register before the request is sent: the fold may be faster than the acknowledgement. Throws
   * `deadline-passed`.
   */
  wait(key: string, requestId: string): Promise<Answer>;
  /** Whether somebody waits for this one. */
  has(key: string, requestId: string): boolean;
  settle(key: string, requestId: string, answer: Answer): void;
};

type Waiter = { resolve(answer: Answer): void; reject(error: Error): void };

const answerWithinMs = 10_000;

export function createPendingAnswers(): PendingAnswers {
  const waiting = new Map<string, Waiter[]>();

  function remove(id: string, waiter: Waiter): void {
    const others = (waiting.get(id) ?? []).filter((other) => other !== waiter);
    if (others.length > 0) waiting.set(id, others);
    else waiting.delete(id);
  }

  return {
    wait(key, requestId) {
      const id = idOf(key, requestId);
      return new Promise<Answer>((resolve, reject) => {
        const timer = setTimeout(() => {
          remove(id, waiter);
          waiter.reject(
            passed(
              `request ${requestId} of ${key} was not read back within ${answerWithinMs} ms; ask again with the same request id`,
            ),
          );
        }, answerWithinMs);
        const waiter: Waiter = {
          resolve: (answer) => {
            clearTimeout(timer);
            resolve(answer);
          },
          reject,
        };
        waiting.set(id, [...(waiting.get(id) ?? []), waiter]);
      });
    },
    has: (key, requestId) => waiting.has(idOf(key, requestId)),
    settle(key, requestId, answer) {
      const id = idOf(key, requestId);
      const waiters = waiting.get(id) ?? [];
      waiting.delete(id);
      for (const waiter of waiters) waiter.resolve(answer);
    },
  };
}

/** Clients choose request ids: the same one may be under way for two rollouts. */
function idOf(key: string, requestId: string): string {
  return `${key}\u0000${requestId}`;
}
