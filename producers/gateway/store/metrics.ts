import type { FastifyReply, FastifyRequest } from "fastify";
import type { Metrics } from "../metrics.ts";

/** What nginx says of a client that left, and so does the reference. */
const clientLeft = "499";

const counted = /\/v1\/(agl|traces)/;

/** Counts a request under the reference's names: paths with ids as `{rollout_id}`. */
export function countAsReference(
  metrics: Metrics,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { url } = request.routeOptions;
  if (url === undefined || !counted.test(url)) return;
  const path = url.replace(/:(\w+)/g, "{$1}");
  const status = reply.raw.writableEnded ? String(reply.statusCode) : clientLeft;
  const labels = { path, method: request.method, status };
  metrics.httpTotal.inc(labels);
  metrics.httpLatency.observe(labels, reply.elapsedTime / 1000);
}
