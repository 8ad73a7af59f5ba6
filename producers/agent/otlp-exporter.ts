import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { type ErrorCode, LightningError, messageOf } from "../../schemas/errors.ts";
import { type Exporter, noneRefused, type Refused } from "./exporter.ts";
import { projectUrl } from "./gateway-url.ts";
import { resourcesKnown } from "./log-exporter.ts";
import { retryAfterMs } from "./retry.ts";
import { stampOf, withStamp } from "./stamp.ts";

export type OtlpOptions = {
  /** A Lightning gateway, e.g. `http://localhost:4747`; spans go to their project's path below it. */
  readonly gatewayUrl?: string;
  /** Or any OTLP/HTTP receiver, the whole address: `https://collector:4318/v1/traces`. */
  readonly endpoint?: string;
  /** Project of spans that do not say theirs. */
  readonly project?: string;
  readonly apiKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly compression?: "gzip" | "none";
  /** How long one request may take, ms. */
  readonly timeoutMs?: number;
};

const deflate = promisify(gzip);

/**
 * Exporter for OTLP/HTTP (protobuf, https://opentelemetry.io/docs/specs/otlp/#otlphttp), one request
 * a batch and project; retrying is the caller's.
 *
 * @example
 * createLightning({ transport: createOtlpExporter({ gatewayUrl: "http://localhost:4747" }) });
 *
 * Throws `gateway-unavailable`, `overloaded` and `deadline-passed` (to retry, with
 * `fields.retryAfterMs` from Retry-After), `unauthorised`, `not-found`, `too-large`,
 * `media-type-unsupported` or `request-invalid`; `config-invalid` when created with both or neither
 * of the addresses.
 */
export function createOtlpExporter(options: OtlpOptions): Exporter {
  const { project = "default", compression = "gzip", timeoutMs = 10_000 } = options;
  const urlOf = addressing(options);
  const headers = {
    "content-type": "application/x-protobuf",
    ...(compression === "gzip" ? { "content-encoding": "gzip" } : {}),
    ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
    ...options.headers,
  };
  const post = async (url: string, spans: readonly ReadableSpan[]): Promise<Refused> => {
    const plain =
      ProtobufTraceSerializer.serializeRequest(spans.map(withStamp)) ?? new Uint8Array(0);
    const body = compression === "gzip" ? await deflate(plain) : Buffer.from(plain);
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await answerOf(url, await fetch(url, { method: "POST", headers, body, signal }));
    } catch (error) {
      if (error instanceof LightningError) throw error;
      const code = signal.aborted ? "deadline-passed" : "gateway-unavailable";
      throw new LightningError(code, `${url}: ${reasonOf(error)}`, { cause: error });
    }
  };
  return {
    name: "otlp",
    async send(spans) {
      await resourcesKnown(spans);
      const refused: Refused[] = [];
      for (const [name, group] of byProject(spans, project)) {
        refused.push(await post(urlOf(name), group));
      }
      const some = refused.filter(({ count }) => count > 0);
      if (some.length === 0) return noneRefused;
      const count = some.reduce((sum, each) => sum + each.count, 0);
      return { count, reason: some.map(({ reason }) => reason).join("; ") };
    },
  };
}

function addressing({ gatewayUrl, endpoint }: OtlpOptions): (project: string) => string {
  if (endpoint !== undefined && gatewayUrl === undefined) return () => endpoint;
  if (gatewayUrl !== undefined && endpoint === undefined) {
    return (project) => `${projectUrl(gatewayUrl, project)}/v1/traces`;
  }
  throw new LightningError(
    "config-invalid",
    `createOtlpExporter: gatewayUrl is ${gatewayUrl}, endpoint is ${endpoint}; give one of the two`,
  );
}

function byProject(
  spans: readonly ReadableSpan[],
  project: string,
): ReadonlyMap<string, ReadableSpan[]> {
  const groups = new Map<string, ReadableSpan[]>();
  for (const span of spans) {
    const name = stampOf(span, project)?.attempt.project ?? project;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [span]);
    else group.push(span);
  }
  return groups;
}

/** What each status means; OTLP allows to retry 429, 502, 503 and 504 alone. */
const codes: Readonly<Record<number, ErrorCode>> = {
  401: "unauthorised",
  403: "unauthorised",
  404: "not-found",
  413: "too-large",
  415: "media-type-unsupported",
  429: "overloaded",
  502: "gateway-unavailable",
  503: "overloaded",
  504: "deadline-passed",
};

async function answerOf(url: string, response: Response): Promise<Refused> {
  const body = new Uint8Array(await response.arrayBuffer());
  if (response.ok) return partialOf(response, body);
  const wait = retryAfterMs(response.headers.get("retry-after"));
  const said = Buffer.from(body.subarray(0, 300))
    .toString("utf8")
    .replace(/[^\x20-\x7e]+/g, " ")
    .trim();
  const code = codes[response.status] ?? "request-invalid";
  throw new LightningError(code, `${url} answered ${response.status}: ${said}`, {
    status: response.status,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

/** Partial success; an answer that cannot be read is not a reason to send the spans again. */
function partialOf(response: Response, body: Uint8Array): Refused {
  if (body.length === 0) return noneRefused;
  try {
    const json = response.headers.get("content-type")?.includes("json") === true;
    const answer = json
      ? (JSON.parse(Buffer.from(body).toString("utf8")) as { partialSuccess?: PartialSuccess })
      : ProtobufTraceSerializer.deserializeResponse(body);
    const partial = answer.partialSuccess;
    const count = Number(partial?.rejectedSpans ?? 0);
    return count > 0 ? { count, reason: partial?.errorMessage ?? "" } : noneRefused;
  } catch {
    return noneRefused;
  }
}

type PartialSuccess = { rejectedSpans?: number; errorMessage?: string };

/** fetch hides the reason ("fetch failed") in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : messageOf(cause);
}
