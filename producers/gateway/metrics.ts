import { Counter, Histogram, type Registry } from "prom-client";

/** What the gateway counts; the names are listed in the README. */
export type Metrics = {
  readonly registry: Registry;
  readonly spans: Counter<"outcome">;
  readonly spanBytes: Histogram;
  readonly requestSeconds: Histogram<"route" | "method" | "status">;
  readonly errors: Counter<"code">;
  readonly heartbeats: Counter<"outcome">;
  readonly engineCalls: Counter<"outcome">;
  readonly engineRetries: Counter;
  /** The reference's own figures, under its names. */
  readonly httpTotal: Counter<"path" | "method" | "status">;
  readonly httpLatency: Histogram<"path" | "method" | "status">;
  readonly storeTotal: Counter<"method" | "store_pubmeth" | "status">;
  readonly storeLatency: Histogram<"method" | "store_pubmeth" | "status">;
  readonly rollouts: Counter<"status" | "mode">;
  readonly rolloutSeconds: Histogram<"status" | "mode">;
};

const kib = 1024;
const requestBounds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** Registers the gateway's metrics; a registry takes them once. */
export function createMetrics(registry: Registry): Metrics {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter<L>({ name, help, labelNames, registers });
  return {
    registry,
    spans: counter("lightning_gateway_spans_total", "Spans that arrived, by outcome", ["outcome"]),
    spanBytes: new Histogram({
      name: "lightning_gateway_span_bytes",
      help: "Largest span of each request, with its resource, as it travelled",
      buckets: [1, 4, 16, 64, 256, 1024, 2048, 4096, 6144, 8192].map((size) => size * kib),
      registers,
    }),
    requestSeconds: new Histogram({
      name: "lightning_gateway_request_seconds",
      help: "Time from a request's arrival to the end of its answer",
      labelNames: ["route", "method", "status"],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
      registers,
    }),
    errors: counter("lightning_gateway_errors_total", "Error answers, by code", ["code"]),
    heartbeats: counter(
      "lightning_gateway_heartbeats_total",
      "Heartbeats that spans made, by outcome",
      ["outcome"],
    ),
    engineCalls: counter(
      "lightning_gateway_engine_calls_total",
      "LLM calls through the proxy, by outcome",
      ["outcome"],
    ),
    engineRetries: counter(
      "lightning_gateway_engine_retries_total",
      "Tries of an LLM call after its first",
      [],
    ),
    httpTotal: counter("agl_http_total", "Requests of the store API", ["path", "method", "status"]),
    httpLatency: new Histogram({
      name: "agl_http_latency",
      help: "Seconds a request of the store API took",
      labelNames: ["path", "method", "status"],
      buckets: requestBounds,
      registers,
    }),
    storeTotal: counter("agl_store_total", "Calls of the store, by the reference's method", [
      "method",
      "store_pubmeth",
      "status",
    ]),
    storeLatency: new Histogram({
      name: "agl_store_latency",
      help: "Seconds a call of the store took",
      labelNames: ["method", "store_pubmeth", "status"],
      buckets: requestBounds,
      registers,
    }),
    rollouts: counter("agl_rollouts_total", "Rollouts ended through the store API", [
      "status",
      "mode",
    ]),
    rolloutSeconds: new Histogram({
      name: "agl_rollouts_duration",
      help: "Seconds from a rollout's enqueue to its end",
      labelNames: ["status", "mode"],
      buckets: [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000],
      registers,
    }),
  };
}
