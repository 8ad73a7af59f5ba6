import { messageOf } from "../../schemas/errors.ts";
import { type Emitting, enterAttempt } from "./attempt.ts";
import type { SpanBuffer } from "./buffer.ts";
import type { GatewayClient } from "./gateway-client.ts";
import type { Log } from "./losses.ts";
import type { Rollout } from "./rollout.ts";
import { ownerOf } from "./stamp.ts";

/** What running an attempt needs of the client. */
export type Runtime = {
  readonly gateway: GatewayClient;
  readonly buffer: SpanBuffer;
  readonly emitting: Emitting;
  readonly heartbeatMs: number;
  readonly log: Log;
};

/**
 * Runs an attempt to its end: the body in its context with heartbeats, then everything it emitted is
 * acknowledged, and only then the attempt ends, because spans behind the end's mark are late. It
 * ends failed when the body throws or its spans cannot be delivered, which is thrown on. Throws
 * `conflict` when the log had ended it before (timed out, cancelled).
 */
export async function runAttempt<T>(
  { gateway, buffer, emitting, heartbeatMs, log }: Runtime,
  rollout: Rollout,
  body: () => T | Promise<T>,
): Promise<T> {
  const { project, rolloutId, attemptId } = rollout;
  const attempt = { project, rolloutId, attemptId };
  const heart = setInterval(() => {
    gateway.heartbeat(attempt).catch((error: unknown) => {
      log("warn", "heartbeat failed", { ...attempt, reason: messageOf(error) });
    });
  }, heartbeatMs);
  try {
    const result = await inContext().catch(async (error: unknown) => {
      await flushed().catch(undelivered);
      return failed(error);
    });
    await flushed().catch(failed);
    await gateway.end(attempt, "succeeded", null);
    return result;
  } finally {
    clearInterval(heart);
  }

  async function inContext(): Promise<T> {
    return enterAttempt({ attempt, emitting }, async () => body());
  }

  function flushed(): Promise<void> {
    return buffer.flush({ owner: ownerOf(attempt) });
  }

  /** Ends the attempt as failed and throws on; the time-out ends it where the gateway is away. */
  async function failed(error: unknown): Promise<never> {
    await gateway.end(attempt, "failed", textOf(error)).catch((endError: unknown) => {
      log("error", "attempt not ended", { ...attempt, reason: messageOf(endError) });
    });
    throw error;
  }

  function undelivered(error: unknown): void {
    const facts = { ...attempt, reason: messageOf(error) };
    log("error", "spans of a failed attempt not delivered", facts);
  }
}

/** What the gateway keeps of an error, for people. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, 2_000);
}
