import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import type { Exporter } from "./exporter.ts";
import { createPeriodic, type Log, warnLog } from "./losses.ts";
import { createPump, type Held } from "./pump.ts";
import { approximateBytes } from "./span-record.ts";
import { createWaiters } from "./waiters.ts";

export type BufferOptions = {
  /** Most spans held, those on their way included. */
  readonly maxSpans?: number;
  /** Most bytes held, approximately. */
  readonly maxBytes?: number;
  /**
   * What happens when it is full. `block`: emitters, operations, `rollout` and `runAgent` wait until
   * there is room; spans of code that waits for nobody (a framework's own) may take up to twice the
   * limits, and are dropped, counted and logged beyond. `drop`: new spans are dropped, counted and
   * logged.
   */
  readonly whenFull?: "block" | "drop";
  readonly batchSpans?: number;
  readonly batchBytes?: number;
  /** How long a span waits for others to share a request, ms. */
  readonly lingerMs?: number;
  /** How long {@link SpanBuffer.flush} waits unless told, ms. */
  readonly flushTimeoutMs?: number;
  /** Losses and failures are logged at most this often, ms. */
  readonly logEveryMs?: number;
  readonly log?: Log;
};

/** Counts of spans since the start, except the first two, which are now. */
export type BufferStats = {
  readonly buffered: number;
  readonly bufferedBytes: number;
  /** Acknowledged by the other side. */
  readonly sent: number;
  /** Lost because the buffer was full. */
  readonly dropped: number;
  /** Refused by the other side for good, or lost at {@link SpanBuffer.close}. */
  readonly refused: number;
};

/** A bounded buffer before the log; the one place where spans can be lost, and it counts them. */
export type SpanBuffer = {
  /** Takes a span; `owner` is whose flush is to hear if it is refused. */
  add(span: ReadableSpan, owner: string): void;
  /** Resolves when there is room; at once with `drop`. Never rejects. */
  room(): Promise<void>;
  /**
   * Resolves when every span added before is acknowledged. Throws the refusal when some of the
   * owner's (everybody's without one) were refused since its last flush, and `deadline-passed`, with
   * the last failure as cause, when time is up; the spans stay and are sent later.
   */
  flush(options?: { readonly timeoutMs?: number; readonly owner?: string }): Promise<void>;
  stats(): BufferStats;
  /** Flushes, then gives up what is left, counted and logged. Throws as flush does. */
  close(timeoutMs?: number): Promise<void>;
};

const mebibyte = 1024 * 1024;

/** See {@link BufferOptions} for the defaults' meaning: 8,192 spans, 64 MiB, 512 a batch, 100 ms. */
export function createSpanBuffer(exporter: Exporter, options: BufferOptions = {}): SpanBuffer {
  const { maxSpans = 8192, maxBytes = 64 * mebibyte, whenFull = "block", log = warnLog } = options;
  const { flushTimeoutMs = 30_000, logEveryMs = 10_000 } = options;
  checkLimits({ maxSpans, maxBytes });
  const dropping = createPeriodic(log, "error", "spans dropped, the buffer is full", logEveryMs);
  const waiting = createWaiters();
  let dropped = 0;
  let closed = false;
  const pump = createPump(exporter, {
    batchSpans: options.batchSpans ?? 512,
    batchBytes: options.batchBytes ?? mebibyte,
    lingerMs: options.lingerMs ?? 100,
    logEveryMs,
    log,
    onSettled: () => {
      if (hasRoom()) waiting.wakeAll();
    },
  });
  const factor = whenFull === "block" ? 2 : 1;
  const fits = (bytes: number): boolean =>
    pump.held() === 0 ||
    (pump.held() < maxSpans * factor && pump.heldBytes() + bytes <= maxBytes * factor);
  const hasRoom = (): boolean =>
    closed || whenFull === "drop" || (pump.held() < maxSpans && pump.heldBytes() < maxBytes);

  const flush: SpanBuffer["flush"] = async ({ timeoutMs = flushTimeoutMs, owner } = {}) => {
    const remaining = await pump.settledWithin(timeoutMs);
    if (remaining > 0) throw late(exporter.name, remaining, timeoutMs, pump.lastFailure());
    const refusal = pump.takeRefusal(owner);
    if (refusal !== undefined) throw refused(refusal);
  };

  return {
    add(span, owner) {
      const held: Held = { span, owner, bytes: approximateBytes(span) };
      if (!closed && fits(held.bytes)) {
        pump.add(held);
        return;
      }
      dropped++;
      const facts = { name: span.name, buffered: pump.held(), bytes: pump.heldBytes(), closed };
      dropping.note(1, facts);
    },
    async room() {
      if (hasRoom()) return;
      // The pump's own timers keep no process alive; somebody waiting for them must.
      const alive = setInterval(() => undefined, 60_000);
      while (!hasRoom()) await waiting.wait();
      clearInterval(alive);
    },
    flush,
    stats: () => ({
      buffered: pump.held(),
      bufferedBytes: pump.heldBytes(),
      sent: pump.sent(),
      dropped,
      refused: pump.refused(),
    }),
    async close(timeoutMs = flushTimeoutMs) {
      try {
        await flush({ timeoutMs });
      } finally {
        closed = true;
        pump.stop();
        dropping.flush();
        waiting.wakeAll();
        await exporter.shutdown?.();
      }
    },
  };
}

function checkLimits(limits: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(limits)) {
    if (value > 0) continue;
    throw new LightningError("config-invalid", `${name} is ${value}, must be above 0`);
  }
}

function late(to: string, left: number, ms: number, failure: unknown): LightningError {
  const why = failure === undefined ? "no answer yet" : messageOf(failure);
  const message = `${left} spans not acknowledged by ${to} within ${ms} ms: ${why}`;
  return new LightningError("deadline-passed", message, { cause: failure, spans: left });
}

function refused({ count, error }: { count: number; error: LightningError }): LightningError {
  const message = `${count} spans were refused: ${error.message}`;
  return new LightningError(error.code, message, { cause: error, spans: count });
}
