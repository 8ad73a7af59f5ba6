import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../../../schemas/errors.ts";
import { type Engine, endpointFor } from "./engine.ts";
import type { Json } from "./reading.ts";
import type { ProxySettings } from "./settings.ts";

/** Marks what a gateway sends, so that an endpoint that is the gateway itself is noticed. */
export const hopHeader = "x-lightning-proxy";

const longestWaitMs = 8000;

export type Forwarded = {
  readonly engine: Engine;
  readonly path: string;
  readonly rolloutId: string;
  readonly body: Json;
  readonly patience: Patience;
};

/** How long a call may go on: until the agent goes away or the deadline passes. */
export type Patience = {
  readonly signal: AbortSignal;
  /** Why it ended; null as long as it has not. */
  over(): "gone" | "late" | null;
};

/** An engine's answer, whatever its status, and how many tries went before it. */
export type Answered<T> = {
  readonly response: Response;
  readonly content: T;
  readonly retries: number;
};

/** Told of each try after the first, so that a call that fails for good knows their number. */
export type OnRetry = (retries: number) => void;

/**
 * Calls an engine until it gives an answer that is not 408, 409, 429 or 5xx, or tries and time are
 * used up; the last answer counts then. `read` takes the body, or leaves it for a stream. Throws
 * `engine-unavailable` when no answer came, `deadline-passed` when the time was up.
 */
export async function callEngine<T>(
  call: Forwarded,
  settings: ProxySettings,
  read: (response: Response) => Promise<T>,
  onRetry: OnRetry,
): Promise<Answered<T>> {
  const { signal } = call.patience;
  for (let retries = 0; ; retries++) {
    const isLast = retries + 1 >= settings.tries;
    try {
      const response = await send(call, settings, retries);
      if (isLast || !isTransient(response.status)) {
        return { response, content: await read(response), retries };
      }
      await response.body?.cancel();
      await sleep(waitMs(settings, retries, response), undefined, { signal });
    } catch (cause) {
      if (signal.aborted || isLast) throw failed(call, cause);
      await sleep(waitMs(settings, retries, null), undefined, { signal }).catch((error) => {
        throw failed(call, error);
      });
    }
    onRetry(retries + 1);
  }
}

function send(call: Forwarded, settings: ProxySettings, retries: number): Promise<Response> {
  const { engine, patience } = call;
  const headers: Record<string, string> = {
    "content-type": "application/json",
    [hopHeader]: "1",
    ...(engine.apiKey !== null && { authorization: `Bearer ${engine.apiKey}` }),
  };
  const url = `${endpointFor(engine, call.rolloutId, retries)}/${call.path}`;
  const body = JSON.stringify(call.body);
  return settings.fetch(url, {
    method: "POST",
    headers,
    body,
    signal: patience.signal,
    redirect: "error",
  });
}

function isTransient(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

function waitMs(settings: ProxySettings, retries: number, response: Response | null): number {
  const doubled = Math.min(settings.firstWaitMs * 2 ** retries, longestWaitMs);
  const jittered = doubled * (0.75 + Math.random() / 2);
  const asked = Number(response?.headers.get("retry-after") ?? 0) * 1000;
  return Number.isFinite(asked) ? Math.max(jittered, Math.min(asked, 60_000)) : jittered;
}

function failed(call: Forwarded, cause: unknown): LightningError {
  if (cause instanceof LightningError) return cause;
  const engine = call.engine.name;
  const over = call.patience.over();
  if (over === "gone") {
    return new LightningError("deadline-passed", "the agent went away before the answer", {
      cause,
    });
  }
  if (over === "late") {
    const message = `the engine of resource ${engine} gave no answer in time`;
    return new LightningError("deadline-passed", message, { cause });
  }
  const message = `the engine of resource ${engine} cannot be reached`;
  return new LightningError("engine-unavailable", message, { cause });
}
