import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { codeOf, type ErrorCode, LightningError, messageOf } from "../../schemas/errors.ts";
import type { Exporter, Refused } from "./exporter.ts";
import { createPeriodic, type Log } from "./losses.ts";
import { createRefusals, type Refusal } from "./refusals.ts";
import { delayAfter } from "./retry.ts";
import { createAlarm, createWaiters } from "./waiters.ts";

export type Held = { readonly span: ReadableSpan; readonly owner: string; readonly bytes: number };

export type PumpOptions = {
  readonly batchSpans: number;
  readonly batchBytes: number;
  readonly lingerMs: number;
  readonly logEveryMs: number;
  readonly log: Log;
  /** Called after spans have left. */
  onSettled(): void;
};

/** Sends spans in the order they came, one batch at a time, until each is acknowledged or refused. */
export type Pump = {
  add(held: Held): void;
  held(): number;
  heldBytes(): number;
  sent(): number;
  refused(): number;
  /** Hurries; how many of the spans there were at the call are still unsettled at the deadline. */
  settledWithin(ms: number): Promise<number>;
  lastFailure(): unknown;
  /** What was refused since the last call: the owner's, or everybody's. */
  takeRefusal(owner: string | undefined): Refusal | undefined;
  /** Gives up what is left. */
  stop(): void;
};

/**
 * Codes that speak about these spans. All others speak about the world or the settings (broker away,
 * wrong key, wrong address): the spans are kept and tried again.
 */
const aboutTheSpans: readonly (ErrorCode | undefined)[] = [
  "too-large",
  "request-invalid",
  "record-invalid",
  "record-malformed",
  undefined,
];

export function createPump(exporter: Exporter, options: PumpOptions): Pump {
  const { batchSpans, batchBytes, lingerMs, logEveryMs, log } = options;
  const refusing = createPeriodic(log, "error", "spans refused and lost", logEveryMs);
  const failing = createPeriodic(log, "warn", "spans kept, sending them failed", logEveryMs);
  const refusals = createRefusals();
  const linger = createAlarm();
  const backoff = createAlarm();
  const settledWaiters = createWaiters();
  let queue: Held[] = [];
  let inFlight = 0;
  let bytes = 0;
  let settled = 0;
  let sent = 0;
  let refused = 0;
  let hurriedUntil = 0;
  let running = false;
  let stopped = false;
  let failure: unknown;

  function leave(batch: readonly Held[], acknowledged: number): void {
    sent += acknowledged;
    inFlight -= batch.length;
    settled += batch.length;
    for (const held of batch) bytes -= held.bytes;
    options.onSettled();
    settledWaiters.wakeAll();
  }

  function refuse(batch: readonly Held[], count: number, error: LightningError): void {
    refused += count;
    refusals.note(
      batch.map(({ owner }) => owner),
      count,
      error,
    );
    refusing.note(count, { code: error.code, reason: error.message });
  }

  /** One batch until it is settled: a refused one is halved until the span at fault stands alone. */
  async function deliver(batch: readonly Held[]): Promise<void> {
    for (let failures = 1; !stopped; failures++) {
      try {
        const answer = await exporter.send(batch.map(({ span }) => span));
        failure = undefined;
        if (stopped) return;
        if (answer.count > 0) refuseSome(batch, answer);
        return leave(batch, batch.length - answer.count);
      } catch (error) {
        if (stopped) return;
        if (aboutTheSpans.includes(codeOf(error))) return split(batch, error);
        failure = error;
        failing.note(batch.length, { reason: messageOf(error), failures });
        await backoff.sleep(delayAfter(failures, error));
      }
    }
  }

  function refuseSome(batch: readonly Held[], { count, reason, spans }: Refused): void {
    const concerned = batch.filter(({ span }) => spans?.includes(span) ?? true);
    refuse(concerned, count, new LightningError("request-invalid", reason));
  }

  async function split(batch: readonly Held[], error: unknown): Promise<void> {
    if (batch.length > 1) {
      const middle = batch.length >> 1;
      await deliver(batch.slice(0, middle));
      return deliver(batch.slice(middle));
    }
    const known = error instanceof LightningError;
    refuse(batch, 1, known ? error : new LightningError("record-invalid", messageOf(error)));
    leave(batch, 0);
  }

  function takeBatch(): Held[] {
    let size = 0;
    let end = 0;
    for (const held of queue) {
      if (end > 0 && (end >= batchSpans || size + held.bytes > batchBytes)) break;
      size += held.bytes;
      end++;
    }
    inFlight += end;
    return queue.splice(0, end);
  }

  async function run(): Promise<void> {
    running = true;
    while (queue.length > 0 && !stopped) {
      const full = queue.length >= batchSpans || bytes >= batchBytes;
      if (!full && settled + inFlight >= hurriedUntil) await linger.sleep(lingerMs);
      if (!stopped) await deliver(takeBatch());
    }
    running = false;
  }

  return {
    add(held) {
      queue.push(held);
      bytes += held.bytes;
      if (!running) void run();
      else if (queue.length >= batchSpans || bytes >= batchBytes) linger.ring();
    },
    held: () => queue.length + inFlight,
    heldBytes: () => bytes,
    sent: () => sent,
    refused: () => refused,
    lastFailure: () => failure,
    takeRefusal: (owner) => refusals.take(owner),
    async settledWithin(ms) {
      const target = settled + inFlight + queue.length;
      hurriedUntil = Math.max(hurriedUntil, target);
      linger.ring();
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        settledWaiters.wakeAll();
      }, ms);
      while (settled < target && !late && !stopped) await settledWaiters.wait();
      clearTimeout(timer);
      return Math.max(0, target - settled);
    },
    stop() {
      stopped = true;
      const left = queue.length + inFlight;
      if (left > 0) {
        const error = new LightningError("deadline-passed", "the client was shut down");
        refuse(queue, left, error);
      }
      queue = [];
      settled += left;
      inFlight = 0;
      bytes = 0;
      linger.ring();
      backoff.ring();
      refusing.flush();
      failing.flush();
      settledWaiters.wakeAll();
    },
  };
}
