import type { FastifyReply, FastifyRequest } from "fastify";
import { isFinished } from "../../../schemas/statuses.ts";
import type { RolloutChanged } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { bodyFields } from "./body.ts";
import { upToDate } from "./reading.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";
import { asList, asNumber, asText, check, listOf, optional, required } from "./validation.ts";
import { rolloutText } from "./views.ts";

/** After this long a waiter looks whether its client is still there. */
const roundMs = 2000;

export function waitRoutes(gateway: Gateway): readonly StoreRoute[] {
  return [["POST", "/waits/rollouts", (request, reply) => wait(gateway, request, reply)]];
}

/** Answers those of the rollouts that are over, in the order asked, at the latest at the deadline. */
async function wait(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = bodyFields(request);
  required(fields, "rollout_ids", asList);
  const ids = listOf(fields, "rollout_ids", asText) ?? [];
  const timeout = optional(fields, "timeout", asNumber) ?? null;
  check(fields.issues);
  const deadline =
    timeout === null ? Number.POSITIVE_INFINITY : Date.now() + Math.max(0, timeout) * 1000;
  const known = [...new Set(ids)];
  await upToDate(gateway, project, known);
  const found = await Promise.all(
    known.map((id) => finishedBy(gateway, project, id, deadline, () => reply.raw.destroyed)),
  );
  const byId = new Map(found.flatMap((one) => (one === undefined ? [] : [[one.rollout_id, one]])));
  const texts = ids.flatMap((id) => {
    const rollout = byId.get(id);
    return rollout === undefined ? [] : [rolloutText(rollout)];
  });
  return sendJson(reply, 200, `[${texts.join(",")}]`);
}

/** The rollout once it is over; undefined for one that is unknown or still going on at the deadline. */
async function finishedBy(
  gateway: Gateway,
  project: string,
  rolloutId: string,
  deadline: number,
  gone: () => boolean,
): Promise<RolloutChanged | undefined> {
  let rollout = gateway.rollouts.get(project, rolloutId);
  if (rollout === undefined) return gateway.history.get(project, rolloutId);
  while (rollout !== undefined && !isFinished(rollout.status)) {
    if (gone() || Date.now() >= deadline) return undefined;
    const round = Math.min(deadline, Date.now() + roundMs);
    rollout = await gateway.rollouts.finished(project, rolloutId, round);
  }
  return rollout;
}
