import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  fastify,
  LogController,
} from "fastify";
import type { Registry } from "prom-client";
import type { Append } from "../producer.ts";
import { apiRoutes } from "./api/route.ts";
import { type BodyLimits, defaultBodyLimits } from "./bodies.ts";
import type { Choices } from "./choices.ts";
import type { Gateway } from "./context.ts";
import { answerTo, errorBody } from "./errors.ts";
import { createHeartbeat, createHeartbeats } from "./heartbeats.ts";
import { validationError } from "./json.ts";
import { createKeepSpans } from "./keep-spans.ts";
import { createMetrics } from "./metrics.ts";
import { otlpRoutes } from "./otlp/route.ts";
import type { History, Resources, Rollouts, Spans, Sql, Workers } from "./ports.ts";
import { projectOf } from "./project.ts";
import { proxyRoutes } from "./proxy/route.ts";
import { defaultProxySettings, type ProxySettings } from "./proxy/settings.ts";
import { allowOrigins } from "./store/cors.ts";
import { countAsReference } from "./store/metrics.ts";
import { storeRoutes } from "./store/route.ts";
import { createSequences } from "./store/sequences.ts";
import { defaultStoreSettings, type StoreSettings } from "./store/settings.ts";

/** What a gateway is made of. */
export type GatewayOptions = {
  readonly append: Append;
  readonly rollouts: Rollouts;
  readonly spans: Spans;
  readonly history: History;
  readonly workers: Workers;
  readonly resources: Resources;
  readonly sql: Sql;
  /** Metrics are registered here; one gateway per registry. */
  readonly registry: Registry;
  readonly logger: FastifyBaseLogger;
  readonly choices: Choices;
  /** Address clients reach the gateway at; absent: as they say in the Host header. */
  readonly publicUrl?: string;
  readonly bodyLimits?: BodyLimits;
  readonly proxy?: Partial<ProxySettings>;
  readonly store?: Partial<StoreSettings>;
  /** How many records each fold is behind the log, by its topic. */
  readonly progress?: () => Readonly<Record<string, number>>;
  /** ms since epoch. */
  readonly now?: () => number;
};

/** Longest time for a request to arrive whole, ms: against senders that trickle. */
const requestTimeout = 120_000;

/**
 * The HTTP front of the pipeline, not yet listening. Every API is served at the root for the project
 * `default` and below `/projects/<name>` for the others, except SQL, which reads all of them: OTLP (`/v1/traces`), the native API
 * (`/api/v1`), the store API of Agent Lightning 0.3 (`/v1/agl`), the LLM proxy
 * (`/rollout/<id>/attempt/<id>/v1`).
 */
export function buildGateway(options: GatewayOptions): FastifyInstance {
  const gateway = contextOf(options);
  const app = createApp(options);
  allowOrigins(app, gateway.store.corsOrigins);
  app.setErrorHandler(async (error, request, reply) => {
    const answer = answerTo(error);
    gateway.metrics.errors.inc({ code: answer.code });
    if (answer.code === "internal") request.log.error({ err: error }, "a request failed");
    const body = (request.routeOptions.config.errorBody ?? errorBody)(answer);
    return reply.code(answer.status).headers(answer.headers).send(body);
  });
  app.setNotFoundHandler(async (request, reply) =>
    notFound(reply, `${request.method} ${request.url.slice(0, 200)} is no address here`),
  );
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    const labels = { route, method: request.method, status: String(reply.statusCode) };
    gateway.metrics.requestSeconds.observe(labels, reply.elapsedTime / 1000);
    countAsReference(gateway.metrics, request, reply);
  });
  addProbes(app, gateway, options.progress);
  for (const prefix of ["", "/projects/:project"]) {
    app.register(
      async (scope) => {
        scope.addHook("onRequest", async (request) => {
          projectOf(request);
        });
        scope.register(otlpRoutes(gateway));
        scope.register(proxyRoutes(gateway));
        scope.register(apiRoutes(gateway), { prefix: "/api/v1" });
        scope.register(storeRoutes(gateway), { prefix: "/v1/agl" });
      },
      { prefix },
    );
  }
  return app;
}

function contextOf(options: GatewayOptions): Gateway {
  const { append, rollouts, spans, history, workers, resources, sql, choices } = options;
  const { now = Date.now } = options;
  const metrics = createMetrics(options.registry);
  const heartbeats = createHeartbeats(rollouts, metrics, now);
  const sequences = createSequences({ rollouts, history, spans, now });
  return {
    append,
    rollouts,
    spans,
    history,
    workers,
    resources,
    sql,
    metrics,
    heartbeat: createHeartbeat(rollouts, heartbeats),
    keep: createKeepSpans({ append, rollouts, spans, sequences, heartbeats }),
    sequences,
    now,
    choices,
    publicUrl: options.publicUrl?.replace(/\/+$/, "") ?? null,
    bodyLimits: options.bodyLimits ?? defaultBodyLimits,
    proxy: { ...defaultProxySettings, ...options.proxy },
    store: { ...defaultStoreSettings, ...options.store },
  };
}

function createApp(options: GatewayOptions): FastifyInstance {
  const app = fastify({
    loggerInstance: options.logger,
    // Never a line per request: those are counted.
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout,
    bodyLimit: (options.bodyLimits ?? defaultBodyLimits).compressed,
    routerOptions: { maxParamLength: 2000 },
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        strict: false,
        // 1e999 parses to infinity, which is no number anyone meant.
        strictNumbers: true,
        verbose: true,
      },
    },
    schemaErrorFormatter: validationError,
    frameworkErrors: (error, _request, reply: FastifyReply) => {
      const answer = answerTo(error);
      reply.code(answer.status).send(errorBody(answer));
    },
  });
  return app;
}

const index = {
  name: "Lightning Stream gateway",
  otlp: "POST /v1/traces",
  store: "/v1/agl",
  rollouts: ["POST /api/v1/rollouts", "POST /api/v1/rollouts/claim", "GET /api/v1/rollouts/{id}"],
  resources: ["GET /api/v1/resources/latest", "PUT /api/v1/resources/{id}"],
  sql: "POST /api/v1/sql",
  proxy: "/rollout/{id}/attempt/{id}/v1/chat/completions",
  probes: ["GET /health", "GET /ready", "GET /metrics"],
  projects: "each of these but sql below /projects/{name} as well",
};

/** Under load a fold is always some records behind; more than this is not caught up. */
const maxBehindWhenReady = 10_000;

function addProbes(
  app: FastifyInstance,
  { rollouts, metrics }: Gateway,
  progress: GatewayOptions["progress"],
): void {
  // Whoever opens the address in a browser or with curl sees what is here.
  app.get("/", async () => index);
  app.get("/health", async () => ({ status: "ok" }));
  app.get("/ready", async (_request, reply) => {
    const { ready, behind } = rollouts.progress();
    const folds = progress?.() ?? {};
    if (ready && Object.values(folds).every((one) => one < maxBehindWhenReady)) {
      return { status: "ready", behind, folds };
    }
    reply.code(503).header("retry-after", "1");
    return reply.send({ status: "catching up", behind, folds });
  });
  // The second address is the reference's, with its slash.
  for (const path of ["/metrics", "/v1/prometheus/"]) {
    app.get(path, async (_request, reply) =>
      reply
        .header("content-type", metrics.registry.contentType)
        .send(await metrics.registry.metrics()),
    );
  }
}

function notFound(reply: FastifyReply, message: string): FastifyReply {
  return reply.code(404).send({ error: { code: "not-found", message } });
}
