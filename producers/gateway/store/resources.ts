import type { FastifyReply, FastifyRequest } from "fastify";
import type { Resource, ResourcesUpdated } from "../../../schemas/types.ts";
import { requestIdOf } from "../api/asking.ts";
import type { Gateway } from "../context.ts";
import { hexId } from "../ids.ts";
import { projectOf } from "../project.ts";
import { pathId } from "./asking.ts";
import { bodyFields } from "./body.ts";
import { orderOf, queryFields, textOrNull } from "./query.ts";
import { resourcesFrom, resourcesText } from "./resource-sets.ts";
import { containing, equal, joined, paged, resourcesModel, sorted } from "./search.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";
import { pageText } from "./text.ts";
import { check, invalid } from "./validation.ts";

/** Resource sets: published, replaced, looked at. */
export function resourceRoutes(gateway: Gateway): readonly StoreRoute[] {
  const read = (find: (project: string, request: FastifyRequest) => ResourcesUpdated | undefined) =>
    (async (request, reply) => {
      const project = projectOf(request);
      await gateway.resources.caughtUp();
      const set = find(project, request);
      return sendJson(reply, 200, set === undefined ? "null" : resourcesText(set));
    }) satisfies StoreRoute[2];
  const byId = (project: string, request: FastifyRequest) =>
    gateway.resources.get(project, pathId(request, "resources_id"));
  return [
    ["GET", "/resources", (request, reply) => search(gateway, request, reply)],
    ["POST", "/resources", (request, reply) => add(gateway, request, reply)],
    ["GET", "/resources/latest", read((project) => gateway.resources.latest(project))],
    ["GET", "/resources/:resources_id", read(byId)],
    ["POST", "/resources/:resources_id", (request, reply) => update(gateway, request, reply)],
  ];
}

async function search(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const fields = queryFields(request);
  const matches = joined<ResourcesUpdated>("and", [
    equal(textOrNull(fields, "resources_id"), (one) => one.resources_id),
    containing(textOrNull(fields, "resources_id_contains"), (one) => one.resources_id),
  ]);
  const order = orderOf(fields, resourcesModel, null);
  await gateway.resources.caughtUp();
  const all = gateway.resources.list(projectOf(request)).filter(matches);
  const items = paged(sorted(all, resourcesModel, order), order);
  return sendJson(reply, 200, pageText(items.map(resourcesText), order, all.length));
}

async function add(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const resources = resourcesIn(request);
  const asked = requestIdOf(request, undefined, "resources");
  const resourcesId = `rs-${hexId(12, asked.given ? [project, asked.id] : null)}`;
  await gateway.resources.caughtUp();
  const set = await gateway.resources.publish(project, resourcesId, resources, asked.id);
  return sendJson(reply, 201, resourcesText(set));
}

async function update(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const resourcesId = pathId(request, "resources_id");
  const resources = resourcesIn(request);
  if (resourcesId === "latest") throw reserved();
  const asked = requestIdOf(request, undefined, `resources/${resourcesId}`);
  await gateway.resources.caughtUp();
  const set = await gateway.resources.publish(projectOf(request), resourcesId, resources, asked.id);
  return sendJson(reply, 200, resourcesText(set));
}

function resourcesIn(request: FastifyRequest): Resource[] {
  const fields = bodyFields(request);
  const resources = resourcesFrom(fields);
  check(fields.issues);
  return resources;
}

/** Nobody could read a set of this name: its address means the newest one. */
function reserved(): Error {
  const msg = "Value error, `latest` stands for the newest set";
  const loc = ["path", "resources_id"];
  return invalid([{ type: "value_error", loc, msg, input: "latest" }]);
}
