import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../../schemas/errors.ts";

export const firstDelayMs = 50;
export const longestDelayMs = 5_000;

/**
 * How long to wait after the `failures`th failure in a row, ms: doubling with full jitter between
 * half and the whole, so that many agents do not come back at once; what the other side asked for
 * with Retry-After wins.
 */
export function delayAfter(failures: number, error: unknown): number {
  const asked = error instanceof LightningError ? error.fields.retryAfterMs : undefined;
  if (typeof asked === "number") return asked;
  const whole = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 20));
  return whole * (0.5 + Math.random() / 2);
}

/** Whether the same call may succeed later: everything but what asks for another question. */
export function mayPass(error: unknown): boolean {
  return error instanceof LightningError && error.reaction === "retry";
}

/** Repeats a call while it fails in passing, for at most `forMs`; then throws its last error. */
export async function sendWithRetries<T>(call: () => Promise<T>, forMs: number): Promise<T> {
  const deadline = Date.now() + forMs;
  for (let failures = 1; ; failures++) {
    try {
      return await call();
    } catch (error) {
      const delay = delayAfter(failures, error);
      if (!mayPass(error) || Date.now() + delay > deadline) throw error;
      await sleep(delay);
    }
  }
}

/** Milliseconds of a Retry-After header (seconds or a date, RFC 9110 10.2.3), at most an hour. */
export function retryAfterMs(header: string | null): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), 3_600_000);
}
