import { randomUUID } from "node:crypto";
import { type ErrorCode, LightningError, messageOf, reactions } from "../../schemas/errors.ts";
import type { Attempt } from "./attempt.ts";
import { projectUrl } from "./gateway-url.ts";
import { retryAfterMs, sendWithRetries } from "./retry.ts";
import { type Rollout, rolloutFrom } from "./rollout.ts";

/** What a caller may say about a rollout besides its input. */
export type RolloutOptions = {
  readonly mode?: "train" | "val" | "test";
  readonly resourcesId?: string;
  /** JSON object of the caller's own. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Rollouts that share a baseline, and how many there are. */
  readonly groupId?: string;
  readonly groupSize?: number;
  /** Limits and retry rule, as the gateway's API names them. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** How rewards become advantages (`lightning help credit`); the project's when it is not said. */
  readonly credit?: {
    readonly strategy: string;
    readonly parameters?: Readonly<Record<string, number>>;
    readonly options?: Readonly<Record<string, string>>;
  };
  /** Which calls train which policy, as the gateway's settings take it; the project's otherwise. */
  readonly selection?: Readonly<Record<string, unknown>>;
};

/** The lifecycle part of the gateway's native HTTP API. All calls throw what {@link post} throws. */
export type GatewayClient = {
  /** Enqueues a rollout and claims it in the same step. */
  start(input: unknown, options: RolloutOptions, workerId: string | null): Promise<Rollout>;
  /** Claims up to `limit` rollouts; none when the queue is empty. */
  claim(workerId: string, limit: number): Promise<readonly Rollout[]>;
  heartbeat(attempt: Attempt): Promise<void>;
  end(attempt: Attempt, status: "succeeded" | "failed", error: string | null): Promise<void>;
};

export type GatewayOptions = {
  readonly gatewayUrl: string;
  readonly project: string;
  readonly apiKey?: string | undefined;
  /** How long one request may take, ms. */
  readonly timeoutMs?: number;
  /** How long a call is repeated while the gateway is away, ms. */
  readonly retryMs?: number;
};

/** A client of one project. Each call carries a request id that its retries keep, so each counts once. */
export function createGatewayClient(options: GatewayOptions): GatewayClient {
  const { gatewayUrl, project, timeoutMs = 15_000, retryMs = 60_000 } = options;
  const root = projectUrl(gatewayUrl, project);
  const base = `${root}/api/v1/rollouts`;
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (options.apiKey !== undefined) headers.authorization = `Bearer ${options.apiKey}`;
  const call = (path: string, body: object, forMs = retryMs): Promise<unknown> => {
    const text = JSON.stringify({ request_id: randomUUID(), ...body });
    return sendWithRetries(() => post(`${base}${path}`, headers, text, timeoutMs), forMs);
  };
  const rollouts = async (path: string, body: object): Promise<readonly Rollout[]> => {
    const answer = await call(path, body);
    if (Array.isArray(answer)) return answer.map((each) => rolloutFrom(each, project, root));
    throw new LightningError("gateway-unavailable", `${base}${path} answered no list`);
  };
  return {
    async start(input, options, workerId) {
      const { mode, metadata, config, resourcesId, groupId, groupSize } = options;
      const { credit, selection } = options;
      const choices = { mode, metadata, config, credit, selection };
      const body = { input, ...choices, start: true, worker_id: workerId };
      const group = { resources_id: resourcesId, group_id: groupId, group_size: groupSize };
      const [rollout, ...more] = await rollouts("", { ...body, ...group });
      if (rollout !== undefined && more.length === 0) return rollout;
      throw new LightningError("gateway-unavailable", `${base} answered without one rollout`);
    },
    claim: (workerId, limit) => rollouts("/claim", { worker_id: workerId, limit }),
    async heartbeat(attempt) {
      // One try: the next heartbeat is the retry.
      await call(`${attemptPath(attempt)}/heartbeat`, {}, 0);
    },
    async end(attempt, status, error) {
      await call(`${attemptPath(attempt)}/end`, { status, error });
    },
  };
}

function attemptPath({ rolloutId, attemptId }: Attempt): string {
  return `/${encodeURIComponent(rolloutId)}/attempts/${encodeURIComponent(attemptId)}`;
}

/**
 * One request. Throws the gateway's own error code when it gives one; else `gateway-unavailable`
 * (away, or a proxy's 5xx), `deadline-passed`, `overloaded` (429) or `request-invalid`.
 */
async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  timeoutMs: number,
): Promise<unknown> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { method: "POST", headers, body, signal });
    const text = await response.text();
    if (response.ok) return text === "" ? {} : JSON.parse(text);
    throw errorOf(url, response, text);
  } catch (error) {
    if (error instanceof LightningError) throw error;
    const code = signal.aborted ? "deadline-passed" : "gateway-unavailable";
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    throw new LightningError(code, `${url}: ${messageOf(cause)}`, { cause: error });
  }
}

function errorOf(url: string, response: Response, text: string): LightningError {
  const { code, message } = saidIn(text);
  const wait = retryAfterMs(response.headers.get("retry-after"));
  return new LightningError(
    code ?? codeOfStatus(response.status),
    `${url} answered ${response.status}: ${message}`,
    { status: response.status, ...(wait === undefined ? {} : { retryAfterMs: wait }) },
  );
}

/** The gateway's `{ error: { code, message } }`; a proxy in between answers with anything. */
function saidIn(text: string): { code: ErrorCode | undefined; message: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { code?: string; message?: string } };
    const code = error?.code ?? "";
    const message = error?.message ?? text.slice(0, 300);
    return { code: Object.hasOwn(reactions, code) ? (code as ErrorCode) : undefined, message };
  } catch {
    return { code: undefined, message: text.slice(0, 300) };
  }
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return "unauthorised";
  if (status === 404) return "not-found";
  if (status === 409) return "conflict";
  if (status === 413) return "too-large";
  if (status === 429) return "overloaded";
  if (status === 504 || status === 408) return "deadline-passed";
  return status >= 500 ? "gateway-unavailable" : "request-invalid";
}
