import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Gateway } from "../context.ts";
import { hexId } from "../ids.ts";
import { projectOf } from "../project.ts";
import { ownSpan } from "../spans.ts";
import { ask, idParam, knownAttempt, knownRollout, requestIdOf } from "./asking.ts";
import { closed, FreeObject, Id, nullable } from "./fields.ts";
import { rewardAttributes } from "./rewards.ts";
import { rolloutView } from "./views.ts";

const End = Type.Object(
  {
    status: Type.Unsafe<string>({ type: "string", enum: ["succeeded", "failed"] }),
    error: Type.Optional(nullable<string>(Type.String({ maxLength: 10_000 }))),
    request_id: Type.Optional(Id),
  },
  closed,
);

const Beat = Type.Unsafe<{ request_id?: string } | null>({
  ...Type.Object({ request_id: Type.Optional(Id) }, closed),
  type: ["object", "null"],
});

const Reward = Type.Object(
  {
    value: Type.Unsafe<number | Record<string, number>>({
      type: ["number", "object"],
      additionalProperties: { type: "number" },
      minProperties: 1,
      maxProperties: 100,
    }),
    primary: Type.Optional(Type.String({ minLength: 1, maxLength: 300 })),
    attributes: Type.Optional(FreeObject),
    request_id: Type.Optional(Id),
  },
  closed,
);

const path = "/rollouts/:rollout/attempts/:attempt";

/** What an agent says about its attempt: alive, rewarded, over. */
export function attemptRoutes(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  scope.post(`${path}/end`, { schema: { body: End } }, async (request) => {
    const { status, error, request_id } = request.body;
    const about = aboutAttempt(gateway, request, request_id, "end");
    const value = { ...about, status, error: error ?? null };
    const { rollout } = await ask(gateway, { type: "EndRequested", value });
    return rollout === null ? null : rolloutView(rollout);
  });

  scope.post(`${path}/heartbeat`, { schema: { body: Beat } }, async (request) => {
    const value = {
      ...aboutAttempt(gateway, request, request.body?.request_id, "heartbeat"),
      by_span: false,
    };
    const { rollout } = await ask(gateway, { type: "HeartbeatRequested", value });
    return rollout === null ? null : rolloutView(rollout);
  });

  rewardRoute(plain, gateway);
}

function rewardRoute(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  scope.post(`${path}/rewards`, { schema: { body: Reward } }, async (request, reply) => {
    const { value, primary, attributes, request_id } = request.body;
    const project = projectOf(request);
    const rollout = knownRollout(gateway, project, idParam(request, "rollout"));
    const { attempt_id } = knownAttempt(rollout, idParam(request, "attempt"));
    const asked = requestIdOf(request, request_id, "reward");
    const seeds = ["reward", project, rollout.rollout_id, attempt_id, asked.id];
    const at = gateway.now();
    const span = ownSpan({
      project,
      rolloutId: rollout.rollout_id,
      attemptId: attempt_id,
      traceId: hexId(32, ["trace", ...seeds]),
      spanId: hexId(16, seeds),
      parentId: null,
      name: "agentlightning.annotation",
      kind: "INTERNAL",
      start: at,
      end: at,
      failure: null,
      attributes: rewardAttributes(value, primary, attributes ?? {}),
    });
    await gateway.append([span]);
    gateway.heartbeat(project, rollout.rollout_id, attempt_id);
    return reply.code(201).send({ span_id: span.value.span_id, attempt_id });
  });
}

function aboutAttempt(
  gateway: Gateway,
  request: FastifyRequest,
  said: string | undefined,
  verb: string,
) {
  const attemptId = idParam(request, "attempt");
  return {
    project: projectOf(request),
    rollout_id: idParam(request, "rollout"),
    attempt_id: attemptId,
    request_id: requestIdOf(request, said, `${verb}/${attemptId}`).id,
    requested_at: gateway.now() * 1000,
  };
}
