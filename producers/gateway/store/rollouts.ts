import type { FastifyReply, FastifyRequest } from "fastify";
import { isFinished, modes, rolloutStatuses } from "../../../schemas/statuses.ts";
import type { RolloutChanged } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";
import type { PastPlace, RolloutQuery } from "../ports.ts";
import { projectOf } from "../project.ts";
import { about, ask, pathId } from "./asking.ts";
import { bodyFields } from "./body.ts";
import { logicOf, orderOf, queryFields, textOrNull } from "./query.ts";
import { rolloutNow, upToDate } from "./reading.ts";
import { type Model, paged, rolloutMatches, rolloutModel, sorted } from "./search.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";
import { limitsOf } from "./task.ts";
import { pageText } from "./text.ts";
import {
  asId,
  asObject,
  asText,
  check,
  type Fields,
  has,
  listOf,
  oneOf,
  optional,
  refused,
} from "./validation.ts";
import { attemptedText, rolloutText } from "./views.ts";

const rolloutStatus = oneOf(rolloutStatuses);
const mode = oneOf(modes);

/** Past rollouts an answer without a limit may hold; a gateway's memory has to end somewhere. */
const mostPast = 50_000;

/** Looking at rollouts and changing them. */
export function rolloutRoutes(gateway: Gateway): readonly StoreRoute[] {
  const query: StoreRoute[2] = (request, reply) => search(gateway, request, reply);
  return [
    ["GET", "/rollouts", query],
    ["POST", "/rollouts/search", query],
    ["GET", "/rollouts/:rollout_id", (request, reply) => get(gateway, request, reply)],
    ["POST", "/rollouts/:rollout_id", (request, reply) => update(gateway, request, reply)],
  ];
}

async function get(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const rollout = await rolloutNow(gateway, projectOf(request), pathId(request, "rollout_id"));
  return sendJson(reply, 200, rollout === undefined ? "null" : attemptedText(rollout));
}

async function update(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const rolloutId = pathId(request, "rollout_id");
  const patch = patchOf(bodyFields(request));
  await gateway.rollouts.expire(project, [rolloutId]);
  const rollout = await ask(gateway, {
    type: "PatchRequested",
    value: {
      ...about(gateway, request, { project, rolloutId }, "patch"),
      attempt_id: null,
      patch,
      expected_status: null,
      rederive: false,
    },
  });
  return sendJson(reply, 200, rolloutText(rollout));
}

/** The patch as JSON text: absent fields stay, null clears where it may. */
function patchOf(fields: Fields): string {
  optional(fields, "mode", mode);
  optional(fields, "resources_id", asId);
  optional(fields, "status", rolloutStatus);
  optional(fields, "metadata", asObject);
  const config = limitsOf(fields);
  check(fields.issues);
  for (const name of ["status", "config"]) {
    if (has(fields, name) && fields.value[name] === null) {
      throw refused(`${name} is invalid; it cannot be a null value.`);
    }
  }
  const members = ["input", "mode", "resources_id", "status", "metadata"]
    .filter((name) => has(fields, name))
    .map((name) => `"${name}":${fields.raw(name)}`);
  if (config !== null) members.push(`"config":${JSON.stringify(config)}`);
  return `{${members.join(",")}}`;
}

async function search(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = queryFields(request, ["status_in", "rollout_id_in"]);
  const asked = {
    statusIn: listOf(fields, "status_in", rolloutStatus),
    rolloutIdIn: listOf(fields, "rollout_id_in", asText),
    rolloutIdContains: textOrNull(fields, "rollout_id_contains"),
    logic: logicOf(fields),
  };
  const query: RolloutQuery = { ...asked, ...orderOf(fields, rolloutModel, null) };
  await upToDate(gateway, project);
  const { items, total } = await found(gateway, project, query);
  return sendJson(reply, 200, pageText(items.map(attemptedText), query, total));
}

type Found = { readonly items: readonly RolloutChanged[]; readonly total: number };

/** The page of live and past rollouts together. */
async function found(gateway: Gateway, project: string, query: RolloutQuery): Promise<Found> {
  const all = gateway.rollouts.list(project);
  const live = all.filter(rolloutMatches(query));
  if (onlyLive(query, (id) => gateway.rollouts.get(project, id) !== undefined)) {
    return { items: paged(sorted(live, rolloutModel, query), query), total: live.length };
  }
  // At most live.length of the page's predecessors are live: so many of the past need not come.
  const skipped = Math.max(0, query.offset - live.length);
  const limit = query.limit < 0 ? mostPast + 1 : query.limit + query.offset - skipped;
  const past = await gateway.history.search(
    project,
    { ...query, offset: skipped, limit },
    all.map((rollout) => rollout.rollout_id),
  );
  if (query.limit < 0 && past.places.length > mostPast) {
    throw refused(`${past.total} rollouts match, more than ${mostPast}: ask for pages with limit`);
  }
  const places = [...past.places, ...live].sort((a, b) => a.enqueued_at - b.enqueued_at);
  const page = paged(sorted(places, placeModel, query), query, skipped);
  const items = await whole(gateway, project, page);
  return { items, total: past.total + live.length };
}

type Placed = PastPlace | RolloutChanged;

/** The orders of rollouts, for places in them as well. */
const placeModel: Model = Object.fromEntries(
  Object.entries(rolloutModel).map(([name, key]) => [
    name,
    key && ((one: Placed) => ("sort_key" in one ? one.sort_key : key(one))),
  ]),
);

/** The live ones are at hand, the others are fetched together. */
async function whole(
  gateway: Gateway,
  project: string,
  page: readonly Placed[],
): Promise<readonly RolloutChanged[]> {
  const ids = page.flatMap((one) => ("sort_key" in one ? [one.rollout_id] : []));
  const past = ids.length === 0 ? [] : await gateway.history.rows(project, ids);
  const byId = new Map(past.map((rollout) => [rollout.rollout_id, rollout]));
  return page.flatMap((one) => ("sort_key" in one ? (byId.get(one.rollout_id) ?? []) : [one]));
}

/** Whether no past rollout, which has finished, can match. */
function onlyLive(query: RolloutQuery, isLive: (id: string) => boolean): boolean {
  const { statusIn, rolloutIdIn, rolloutIdContains, logic } = query;
  const status = statusIn === null ? null : !statusIn.some(isFinished);
  const ids = rolloutIdIn === null ? null : rolloutIdIn.every(isLive);
  if (logic === "and") return status === true || ids === true;
  return (
    rolloutIdContains === null && (status ?? ids) !== null && status !== false && ids !== false
  );
}
