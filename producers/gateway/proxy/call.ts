import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import { maxSpanBytes } from "../../../schemas/topics.ts";
import type { ResourcesUpdated, RolloutChanged } from "../../../schemas/types.ts";
import { idParam, knownAttempt, knownRollout } from "../api/asking.ts";
import type { Gateway } from "../context.ts";
import { hexId } from "../ids.ts";
import { avroBytes } from "../otlp/collect.ts";
import { projectOf } from "../project.ts";
import { ownSpan } from "../spans.ts";
import { callAttributes, policyVersionOf, publicAddress } from "./call-span.ts";
import type { Dialect } from "./dialect.ts";
import { chooseEngine, type Engine, endpointFor, engineBody, enginesOf } from "./engine.ts";
import { hopHeader } from "./forward.ts";
import { type Json, objectOf, textOf } from "./reading.ts";

/** A call on its way: who makes it, of which engine, and since when. */
export type Call = {
  readonly project: string;
  readonly rollout: RolloutChanged;
  readonly attemptId: string;
  readonly engine: Engine;
  readonly set: ResourcesUpdated;
  readonly dialect: Dialect;
  /** What the agent asked, in its dialect, and the body the engine gets. */
  readonly asked: Json;
  readonly body: Json;
  readonly started: number;
  readonly trace: { readonly traceId: string; readonly parentId: string | null };
  /** What must not be recorded wherever it turns up. */
  readonly secrets: readonly string[];
  retries: number;
};

/** How a call ended. */
export type Ended = {
  readonly status: number | null;
  readonly headers: Headers | null;
  readonly response: Json | null;
  /** Why it failed; null when it did not. */
  readonly failure: string | null;
};

/** Reads who calls what; throws `not-found` and `request-invalid`. */
export async function startCall(
  gateway: Gateway,
  request: FastifyRequest,
  dialect: Dialect,
): Promise<Call> {
  const project = projectOf(request);
  const { rollout, attemptId } = await whose(gateway, request, project);
  const set = resourcesFor(gateway, project, rollout);
  if (request.headers[hopHeader] !== undefined) throw loops(set);
  const asked = objectOf(request.body);
  if (asked === null) {
    const message = "body: allowed is a JSON object";
    throw new LightningError("request-invalid", message, { field: "body" });
  }
  const engine = chooseEngine(enginesOf(set, gateway.proxy), textOf(asked.model));
  const bearer = String(request.headers.authorization ?? "").replace(/^bearer\s+/i, "");
  const agentKey = String(request.headers["x-api-key"] ?? "");
  return {
    project,
    rollout,
    attemptId,
    engine,
    set,
    dialect,
    asked,
    body: engineBody(engine, dialect.enginePath, dialect.request(asked)),
    started: gateway.now(),
    trace: traceOf(request.headers.traceparent),
    secrets: [engine.apiKey ?? "", bearer, agentKey].filter((secret) => secret.length >= 4),
    retries: 0,
  };
}

/** The rollout and attempt of the URL; waits a moment for what another gateway has just been told. */
export async function whose(
  gateway: Gateway,
  request: FastifyRequest,
  project: string,
): Promise<{ rollout: RolloutChanged; attemptId: string }> {
  const rolloutId = idParam(request, "rollout");
  const attemptId = idParam(request, "attempt");
  const until = performance.now() + gateway.proxy.foldLagMs;
  for (;;) {
    const found = gateway.rollouts.get(project, rolloutId);
    const has = found?.attempts.some((attempt) => attempt.attempt_id === attemptId) ?? false;
    if (has || attemptId === "latest" || performance.now() > until) break;
    await sleep(20);
  }
  const rollout = knownRollout(gateway, project, rolloutId);
  return { rollout, attemptId: knownAttempt(rollout, attemptId).attempt_id };
}

/** The resource set a rollout runs with, in its newest version. */
export function resourcesFor(
  gateway: Gateway,
  project: string,
  rollout: RolloutChanged,
): ResourcesUpdated {
  const { resources_id } = rollout;
  const set =
    resources_id === null
      ? gateway.resources.latest(project)
      : gateway.resources.get(project, resources_id);
  if (set !== undefined) return set;
  const message = "the rollout has no resources: publish an llm with PUT /api/v1/resources";
  throw new LightningError("not-found", message, { field: "resources" });
}

function loops(set: ResourcesUpdated): LightningError {
  return new LightningError(
    "request-invalid",
    `resource set ${set.resources_id}: an endpoint is this gateway; name the engine behind it`,
    { field: "resources" },
  );
}

/** The agent's own trace, when it says one (https://www.w3.org/TR/trace-context/). */
function traceOf(header: unknown): Call["trace"] {
  const said = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-/.exec(String(header ?? ""));
  const [, traceId, parentId] = said ?? [];
  if (traceId === undefined || parentId === undefined || /^0+$/.test(traceId)) {
    return { traceId: hexId(32, null), parentId: null };
  }
  return { traceId, parentId };
}

/** Records a call as one span; resolves when it is durable. */
export async function recordCall(gateway: Gateway, call: Call, ended: Ended): Promise<void> {
  const { project, rollout, attemptId, engine, retries } = call;
  const end = gateway.now();
  const span = ownSpan({
    project,
    rolloutId: rollout.rollout_id,
    attemptId,
    ...call.trace,
    spanId: hexId(16, null),
    name: "openai.chat.completion",
    kind: "CLIENT",
    start: call.started,
    end,
    failure: ended.failure === null ? null : withoutSecrets(call, ended.failure).slice(0, 2000),
    attributes: callAttributes({
      request: call.body,
      response: ended.response,
      endpoint: publicAddress(endpointFor(engine, rollout.rollout_id, retries)),
      resource: engine.name,
      isChat: call.dialect.enginePath === "chat/completions",
      status: ended.status,
      retries,
      latencyMs: Math.max(0, end - call.started),
      policyVersion: policyVersionOf(ended.headers, ended.response, call.set.version),
    }),
  });
  const bytes = avroBytes(span.value);
  if (bytes > maxSpanBytes) {
    const message = `the call's record has ${bytes} bytes, allowed are ${maxSpanBytes}`;
    throw new LightningError("too-large", message, { field: "body" });
  }
  await gateway.append([span]);
  gateway.metrics.engineCalls.inc({ outcome: ended.failure === null ? "ok" : "failed" });
  gateway.heartbeat(project, rollout.rollout_id, attemptId);
}

/** Text in which no key of the engine or the agent stands. */
export function withoutSecrets(call: Call, text: string): string {
  return call.secrets.reduce((clean, secret) => clean.replaceAll(secret, "***"), text);
}
