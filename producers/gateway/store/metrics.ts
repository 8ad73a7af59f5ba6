import type { FastifyReply, FastifyRequest } from "fastify";
import type { Metrics } from "../metrics.ts";

/** What nginx says of a client that left, and so does the reference. */
const clientLeft = "499";

const counted = /\/v1\/(agl|traces)/;

/** The reference's methods behind the routes: what its dashboards call a store call. */
const storeMethods: Readonly<Record<string, string>> = {
  "POST /queues/rollouts/enqueue": "enqueue_many_rollouts",
  "POST /queues/rollouts/dequeue": "dequeue_many_rollouts",
  "POST /rollouts": "start_rollout",
  "GET /rollouts": "query_rollouts",
  "POST /rollouts/search": "query_rollouts",
  "GET /rollouts/:rollout_id": "get_rollout_by_id",
  "POST /rollouts/:rollout_id": "update_rollout",
  "POST /rollouts/:rollout_id/attempts": "start_attempt",
  "GET /rollouts/:rollout_id/attempts": "query_attempts",
  "POST /rollouts/:rollout_id/attempts/search": "query_attempts",
  "GET /rollouts/:rollout_id/attempts/latest": "get_latest_attempt",
  "POST /rollouts/:rollout_id/attempts/:attempt_id": "update_attempt",
  "GET /workers": "query_workers",
  "POST /workers/search": "query_workers",
  "GET /workers/:worker_id": "get_worker_by_id",
  "POST /workers/:worker_id": "update_worker",
  "GET /statistics": "statistics",
  "GET /resources": "query_resources",
  "POST /resources": "add_resources",
  "GET /resources/latest": "get_latest_resources",
  "GET /resources/:resources_id": "get_resources_by_id",
  "POST /resources/:resources_id": "update_resources",
  "POST /spans": "add_span",
  "GET /spans": "query_spans",
  "POST /spans/search": "query_spans",
  "POST /spans/next": "get_next_span_sequence_id",
  "POST /waits/rollouts": "wait_for_rollouts",
};

/** Every route once: there are some fifty, so this is bounded. */
const paths = new Map<string, string | null>();

/** A route's path as the reference writes it; null: not one of those it counts. */
function pathOf(url: string): string | null {
  const known = paths.get(url);
  if (known !== undefined) return known;
  const path = counted.test(url) ? url.replace(/:(\w+)/g, "{$1}") : null;
  paths.set(url, path);
  return path;
}

/** Counts a request under the reference's names: paths with ids as `{rollout_id}`. */
export function countAsReference(
  metrics: Metrics,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { url } = request.routeOptions;
  const path = url === undefined ? null : pathOf(url);
  if (url === undefined || path === null) return;
  const status = reply.raw.writableEnded ? String(reply.statusCode) : clientLeft;
  const labels = { path, method: request.method, status };
  const seconds = reply.elapsedTime / 1000;
  metrics.httpTotal.inc(labels);
  metrics.httpLatency.observe(labels, seconds);
  countStoreCall(metrics, methodOf(request.method, url), reply.statusCode, seconds);
}

function methodOf(verb: string, url: string): string | undefined {
  if (url.endsWith("/v1/traces")) return "add_many_spans";
  const path = url.slice(url.indexOf("/v1/agl") + "/v1/agl".length);
  return storeMethods[`${verb} ${path}`];
}

/** A body that is no request reaches no store there, so it counts as no call here. */
function countStoreCall(
  metrics: Metrics,
  method: string | undefined,
  status: number,
  seconds: number,
): void {
  if (method === undefined || status === 422) return;
  const outcome = status < 400 ? "OK" : status < 500 ? "ValueError" : "RuntimeError";
  const labels = { method, store_pubmeth: method, status: outcome };
  metrics.storeTotal.inc(labels);
  metrics.storeLatency.observe(labels, seconds);
}
