import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { sendWithRetries } from "./retry.ts";

/** Spans the other side took the batch without. */
export type Refused = {
  readonly count: number;
  readonly reason: string;
  /** Which ones, when the other side said. */
  readonly spans?: readonly ReadableSpan[];
};

/**
 * Carries finished spans to their destination. Resolves when they are durable there. Throws a
 * LightningError: with the reaction `retry` (and `fields.retryAfterMs`, where the other side said
 * how long) when it is away, with another when these spans can never be taken. Sending the same
 * spans twice must be harmless: a span's identity is (rollout, attempt, span id).
 */
export type Exporter = {
  readonly name: string;
  send(spans: readonly ReadableSpan[]): Promise<Refused>;
  shutdown?(): Promise<void>;
};

type ExportResult = Parameters<Parameters<SpanExporter["export"]>[1]>[0];

/** OpenTelemetry's ExportResultCode, which lives in a package we do not depend on. */
const succeeded = 0;
const failed = 1;

export const noneRefused: Refused = { count: 0, reason: "" };

/**
 * An OpenTelemetry SpanExporter, for those who have their own tracer provider and batch processor.
 * Retries for `retryMs`; what is refused is reported as a failed export.
 *
 * @example
 * new NodeSDK({ spanProcessors: [createStampProcessor(), new BatchSpanProcessor(asSpanExporter(exporter))] })
 */
export function asSpanExporter(
  exporter: Exporter,
  { retryMs = 25_000 }: { readonly retryMs?: number } = {},
): SpanExporter {
  const inFlight = new Set<Promise<void>>();
  const send = async (spans: readonly ReadableSpan[]): Promise<ExportResult> => {
    try {
      const { count, reason } = await sendWithRetries(() => exporter.send(spans), retryMs);
      if (count === 0) return { code: succeeded };
      const error = new LightningError("request-invalid", `${count} spans refused: ${reason}`);
      return { code: failed, error };
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(messageOf(error));
      return { code: failed, error: cause };
    }
  };
  const settled = async (): Promise<void> => {
    await Promise.all(inFlight);
  };
  return {
    export(spans, done) {
      const sending = send(spans).then(done);
      inFlight.add(sending);
      sending.finally(() => inFlight.delete(sending)).catch(() => undefined);
    },
    forceFlush: settled,
    async shutdown() {
      await settled();
      await exporter.shutdown?.();
    },
  };
}

/** Any OpenTelemetry SpanExporter as an {@link Exporter}; its failures count as passing. */
export function fromSpanExporter(name: string, exporter: SpanExporter): Exporter {
  return {
    name,
    send: (spans) =>
      new Promise((resolve, reject) => {
        exporter.export([...spans], ({ code, error }) => {
          if (code === succeeded) resolve(noneRefused);
          else {
            reject(
              new LightningError("gateway-unavailable", `${name} did not take the spans`, {
                cause: error,
              }),
            );
          }
        });
      }),
    shutdown: () => exporter.shutdown(),
  };
}
