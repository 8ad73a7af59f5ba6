import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { ask, idParam, knownRollout, mustStand, requestIdOf } from "./asking.ts";
import { enqueueRequests } from "./enqueue.ts";
import { closed, Id, nullable, Tasks } from "./fields.ts";
import { baseUrl, claimView, rolloutView } from "./views.ts";

/** Longest `GET …/wait`, seconds; shorter than what proxies in between put up with. */
const longestWait = 300;
const defaultWait = 30;

const Claim = Type.Object(
  {
    worker_id: Type.Optional(nullable<string>(Id)),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    request_id: Type.Optional(Id),
  },
  closed,
);

const Cancel = Type.Unsafe<{ request_id?: string } | null>({
  ...Type.Object({ request_id: Type.Optional(Id) }, closed),
  type: ["object", "null"],
});

/** Enqueue, claim, look at, wait for and cancel rollouts. */
export function rolloutRoutes(plain: FastifyInstance, gateway: Gateway): void {
  queueRoutes(plain, gateway);
  lookRoutes(plain, gateway);
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  scope.post("/rollouts/:rollout/cancel", { schema: { body: Cancel } }, async (request) => {
    const { rollout } = await ask(gateway, {
      type: "CancelRequested",
      value: {
        project: projectOf(request),
        rollout_id: idParam(request, "rollout"),
        request_id: requestIdOf(request, request.body?.request_id, "cancel").id,
        requested_at: gateway.now() * 1000,
      },
    });
    return rollout === null ? null : rolloutView(rollout);
  });
}

function queueRoutes(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  scope.post("/rollouts", { schema: { body: Tasks } }, async (request, reply) => {
    const { body } = request;
    const tasks = Array.isArray(body) ? body : [body];
    const asked = requestIdOf(request, undefined, "enqueue");
    const requests = enqueueRequests(gateway, projectOf(request), tasks, asked);
    const verdicts = await gateway.rollouts.submit(requests);
    for (const [i, verdict] of verdicts.entries()) {
      mustStand(verdict, tasks.length === 1 ? "rollout_id" : `[${i}].rollout_id`);
    }
    const views = verdicts.map(({ rollout }) => (rollout === null ? null : rolloutView(rollout)));
    return reply.code(201).send(views);
  });

  scope.post("/rollouts/claim", { schema: { body: Claim } }, async (request) => {
    const project = projectOf(request);
    const { worker_id, limit, request_id } = request.body;
    const claimed = await gateway.rollouts.claim(project, {
      workerId: worker_id ?? null,
      limit: limit ?? 1,
      requestId: requestIdOf(request, request_id, `claim/${project}`).id,
    });
    const base = baseUrl(gateway.publicUrl, request, project);
    return claimed.flatMap((rollout) => {
      const attempt = rollout.attempts.at(-1);
      return attempt === undefined ? [] : [claimView(rollout, attempt, base)];
    });
  });
}

function lookRoutes(scope: FastifyInstance, gateway: Gateway): void {
  scope.get("/rollouts/:rollout", async (request) =>
    rolloutView(knownRollout(gateway, projectOf(request), idParam(request, "rollout"))),
  );

  scope.get("/rollouts/:rollout/wait", async (request) => {
    const project = projectOf(request);
    const rolloutId = idParam(request, "rollout");
    knownRollout(gateway, project, rolloutId);
    const deadline = gateway.now() + waitOf(request) * 1000;
    const rollout = await gateway.rollouts.finished(project, rolloutId, deadline);
    return rolloutView(rollout ?? knownRollout(gateway, project, rolloutId));
  });
}

/** The `timeout` of a query, seconds. */
function waitOf(request: FastifyRequest): number {
  const { timeout } = request.query as { timeout?: unknown };
  if (timeout === undefined) return defaultWait;
  const seconds = typeof timeout === "string" && timeout !== "" ? Number(timeout) : Number.NaN;
  if (seconds >= 0 && seconds <= longestWait) return seconds;
  throw new LightningError(
    "request-invalid",
    `timeout: read ${JSON.stringify(timeout)?.slice(0, 80)}, allowed are 0 to ${longestWait} seconds`,
    { field: "timeout" },
  );
}
