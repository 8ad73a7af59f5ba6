import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import type { Gateway } from "../context.ts";
import { answerTo } from "../errors.ts";
import { attemptRoutes } from "./attempts.ts";
import { readStoreBodies } from "./json.ts";
import { queueRoutes } from "./queues.ts";
import { resourceRoutes } from "./resources.ts";
import { rolloutRoutes } from "./rollouts.ts";
import { spanRoutes } from "./spans.ts";
import { statisticsRoutes } from "./statistics.ts";
import type { StoreRoute } from "./store-route.ts";
import { waitRoutes } from "./waits.ts";
import { workerRoutes } from "./workers.ts";

/**
 * The store API of Agent Lightning 0.3, for its unmodified Python clients: every path, status and
 * body as theirs, but for what the table in README.md beside this file says.
 */
export function storeRoutes(gateway: Gateway): (scope: FastifyInstance) => Promise<void> {
  return async (scope) => {
    const routes = [
      ...statisticsRoutes(gateway),
      ...queueRoutes(gateway),
      ...rolloutRoutes(gateway),
      ...attemptRoutes(gateway),
      ...workerRoutes(gateway),
      ...resourceRoutes(gateway),
      ...spanRoutes(gateway),
      ...waitRoutes(gateway),
    ];
    readStoreBodies(scope, gateway.bodyLimits);
    scope.setErrorHandler(async (error, request, reply) =>
      sendError(gateway, error, request, reply),
    );
    const allowed = methodsOf(routes);
    scope.setNotFoundHandler(async (request, reply) => {
      const path = request.url.split("?", 1)[0] ?? "";
      const methods = allowed(path.slice(path.indexOf("/v1/agl") + "/v1/agl".length));
      if (methods.length === 0) return reply.code(404).send({ detail: "Not Found" });
      return reply
        .code(405)
        .header("allow", methods.join(", "))
        .send({ detail: "Method Not Allowed" });
    });
    for (const [method, url, handler] of routes) {
      scope.route({ method, url, handler, exposeHeadRoute: false });
    }
  };
}

/** The methods a path takes; none when there is no such path. */
function methodsOf(routes: readonly StoreRoute[]): (path: string) => string[] {
  const patterns = routes.map(([method, url]) => ({
    method,
    path: new RegExp(`^${url.replace(/:\w+/g, "[^/]+")}$`),
  }));
  return (path) => [
    ...new Set(patterns.filter((one) => one.path.test(path)).map(({ method }) => method)),
  ];
}

/** Errors in FastAPI's shape: a text, or a list of mistakes with their places. */
function sendError(
  gateway: Gateway,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const answer = answerTo(error);
  gateway.metrics.errors.inc({ code: answer.code });
  if (answer.code === "internal") {
    request.log.error({ err: error }, "a request failed");
    return reply.code(500).send({ detail: "Internal server error", error_type: "InternalError" });
  }
  const { detail, error_type = "ValueError" } = error instanceof LightningError ? error.fields : {};
  if (Array.isArray(detail)) return reply.code(422).send({ detail });
  const { status, message } = answer;
  if (status === 404) {
    const body = { detail: message, ...(error_type === null ? {} : { error_type }) };
    return reply.code(404).send(body);
  }
  // Whoever waited in vain may ask again, which is what 503 means to the client.
  if (status >= 500) {
    reply.code(503).header("retry-after", "1");
    return reply.send({ detail: message, error_type: answer.code });
  }
  return reply.code(status).headers(answer.headers).send({ detail: message });
}
