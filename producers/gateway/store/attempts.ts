import type { FastifyReply, FastifyRequest } from "fastify";
import { attemptStatuses } from "../../../schemas/statuses.ts";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { about, ask, pathId } from "./asking.ts";
import { bodyFields, bodyFieldsIfAny } from "./body.ts";
import { orderOf, queryFields } from "./query.ts";
import { attemptOf, noAttempt, rolloutNow } from "./reading.ts";
import { attemptModel, paged, sorted } from "./search.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";
import { pageText } from "./text.ts";
import {
  asId,
  asObject,
  asSeconds,
  check,
  type Fields,
  has,
  oneOf,
  optional,
  refused,
} from "./validation.ts";
import { attemptedText, attemptText } from "./views.ts";

const path = "/rollouts/:rollout_id/attempts";
const attemptStatus = oneOf(attemptStatuses);

/** The attempts of a rollout: started, looked at, changed. */
export function attemptRoutes(gateway: Gateway): readonly StoreRoute[] {
  const query: StoreRoute[2] = (request, reply) => search(gateway, request, reply);
  return [
    ["POST", path, (request, reply) => start(gateway, request, reply)],
    ["GET", path, query],
    ["POST", `${path}/search`, query],
    ["GET", `${path}/latest`, (request, reply) => latest(gateway, request, reply)],
    ["POST", `${path}/:attempt_id`, (request, reply) => update(gateway, request, reply)],
  ];
}

async function start(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const rolloutId = pathId(request, "rollout_id");
  const fields = bodyFieldsIfAny(request);
  const worker_id = optional(fields, "worker_id", asId) ?? null;
  check(fields.issues);
  await gateway.rollouts.expire(project, [rolloutId]);
  const rollout = await ask(gateway, {
    type: "ClaimRequested",
    value: {
      ...about(gateway, request, { project, rolloutId }, "attempt"),
      worker_id,
      forced: true,
    },
  });
  return sendJson(reply, 201, attemptedText(rollout));
}

async function search(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const rolloutId = pathId(request, "rollout_id");
  const order = orderOf(queryFields(request), attemptModel, "sequence_id");
  const rollout = await rolloutNow(gateway, projectOf(request), rolloutId);
  const owned = (rollout?.attempts ?? []).map((attempt) => ({ rolloutId, attempt }));
  const items = paged(sorted(owned, attemptModel, order), order);
  const texts = items.map(({ attempt }) => attemptText(rolloutId, attempt));
  return sendJson(reply, 200, pageText(texts, order, owned.length));
}

async function latest(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const rolloutId = pathId(request, "rollout_id");
  const rollout = await rolloutNow(gateway, projectOf(request), rolloutId);
  const attempt = rollout?.attempts.at(-1);
  return sendJson(reply, 200, attempt === undefined ? "null" : attemptText(rolloutId, attempt));
}

async function update(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const rolloutId = pathId(request, "rollout_id");
  const attemptId = pathId(request, "attempt_id");
  const patch = patchOf(bodyFields(request));
  await gateway.rollouts.expire(project, [rolloutId]);
  const rollout = await ask(gateway, {
    type: "PatchRequested",
    value: {
      ...about(gateway, request, { project, rolloutId }, `patch/${attemptId}`),
      attempt_id: attemptId,
      patch,
      expected_status: null,
      rederive: gateway.store.strict,
    },
  });
  const attempt = attemptOf(rollout, attemptId);
  if (attempt === undefined) throw noAttempt(rolloutId, attemptId);
  return sendJson(reply, 200, attemptText(rolloutId, attempt));
}

/** The patch as JSON text; here null is never a value. */
function patchOf(fields: Fields): string {
  optional(fields, "status", attemptStatus);
  optional(fields, "worker_id", asId);
  const beat = optional(fields, "last_heartbeat_time", asSeconds);
  optional(fields, "metadata", asObject);
  check(fields.issues);
  for (const name of ["status", "worker_id", "last_heartbeat_time", "metadata"]) {
    if (has(fields, name) && fields.value[name] === null) {
      throw refused(`${name} is invalid; it cannot be a null value.`);
    }
  }
  const members = ["status", "worker_id", "metadata"]
    .filter((name) => has(fields, name))
    .map((name) => `"${name}":${fields.raw(name)}`);
  if (typeof beat === "number") members.push(`"last_heartbeat_at":${Math.round(beat * 1e6)}`);
  return `{${members.join(",")}}`;
}
