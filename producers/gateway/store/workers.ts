import type { FastifyReply, FastifyRequest } from "fastify";
import { workerStatuses } from "../../../schemas/statuses.ts";
import type { Gateway } from "../context.ts";
import type { Worker } from "../ports.ts";
import { projectOf } from "../project.ts";
import { pathId } from "./asking.ts";
import { bodyFieldsIfAny } from "./body.ts";
import { logicOf, orderOf, queryFields, textOrNull } from "./query.ts";
import { among, containing, joined, paged, sorted, workerModel } from "./search.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";
import { pageText } from "./text.ts";
import { asObject, check, listOf, oneOf, optional, refused } from "./validation.ts";
import { workerText } from "./views.ts";

const workerStatus = oneOf(workerStatuses);

/** Runners, as their claims, results and signs of life tell. */
export function workerRoutes(gateway: Gateway): readonly StoreRoute[] {
  const query: StoreRoute[2] = (request, reply) => search(gateway, request, reply);
  return [
    ["GET", "/workers", query],
    ["POST", "/workers/search", query],
    ["GET", "/workers/:worker_id", (request, reply) => get(gateway, request, reply)],
    ["POST", "/workers/:worker_id", (request, reply) => heartbeat(gateway, request, reply)],
  ];
}

/** A worker's state comes from the requests of its rollouts and from its own records. */
async function readUp(gateway: Gateway): Promise<void> {
  await Promise.all([gateway.rollouts.caughtUp(), gateway.workers.caughtUp()]);
}

async function search(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = queryFields(request, ["status_in"]);
  const statusIn = listOf(fields, "status_in", workerStatus);
  const contains = textOrNull(fields, "worker_id_contains");
  const logic = logicOf(fields);
  const order = orderOf(fields, workerModel, null);
  await readUp(gateway);
  await gateway.rollouts.expire(project);
  const matches = joined<Worker>(logic, [
    among(statusIn, (one) => one.status),
    containing(contains, (one) => one.workerId),
  ]);
  const all = gateway.workers.list(project).filter(matches);
  const items = paged(sorted(all, workerModel, order), order);
  return sendJson(reply, 200, pageText(items.map(workerText), order, all.length));
}

async function get(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const workerId = pathId(request, "worker_id");
  await readUp(gateway);
  const worker = gateway.workers.get(projectOf(request), workerId);
  return sendJson(reply, 200, worker === undefined ? "null" : workerText(worker));
}

async function heartbeat(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const workerId = pathId(request, "worker_id");
  const fields = bodyFieldsIfAny(request);
  const stats = optional(fields, "heartbeat_stats", asObject);
  check(fields.issues);
  if (stats === null) throw refused("heartbeat_stats is invalid; it cannot be a null value.");
  // The answer shows what other requests made of the worker, too.
  await readUp(gateway);
  const text = stats === undefined ? null : fields.raw("heartbeat_stats");
  const worker = await gateway.workers.heartbeat(projectOf(request), workerId, text);
  return sendJson(reply, 200, workerText(worker));
}
