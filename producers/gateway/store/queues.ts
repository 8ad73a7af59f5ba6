import type { FastifyReply, FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import { requestIdOf } from "../api/asking.ts";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { ask } from "./asking.ts";
import { bodyFields, bodyFieldsIfAny, objectFields } from "./body.ts";
import { rawItems } from "./raw.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";
import { enqueueRequest, rolloutIds, type Task, taskOf } from "./task.ts";
import { asId, asInteger, asList, check, defaulted, optional, required } from "./validation.ts";
import { attemptedText, rolloutText } from "./views.ts";

/** Most rollouts one request takes or gives; more are asked for again. */
const mostClaims = 1000;

/** Into the queue, out of it, and past it. */
export function queueRoutes(gateway: Gateway): readonly StoreRoute[] {
  return [
    ["POST", "/queues/rollouts/enqueue", (request, reply) => enqueue(gateway, request, reply)],
    ["POST", "/queues/rollouts/dequeue", (request, reply) => dequeue(gateway, request, reply)],
    ["POST", "/rollouts", (request, reply) => start(gateway, request, reply)],
  ];
}

async function enqueue(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const tasks = tasksOf(request);
  if (tasks.length === 0) return sendJson(reply, 201, "[]");
  // Whoever has published resources and then enqueues means those.
  if (tasks.some((task) => task.resourcesId === null)) await gateway.resources.caughtUp();
  const asked = requestIdOf(request, undefined, "enqueue");
  const ids = rolloutIds(project, asked, tasks.length);
  const values = tasks.map((task, i) =>
    enqueueRequest(gateway, project, task, {
      request: `${asked.id}/${i}`,
      rollout: ids[i] ?? "",
      place: i,
    }),
  );
  const answers = await gateway.rollouts.submit(
    values.map((value) => ({ type: "EnqueueRequested" as const, value })),
  );
  const texts = answers.map((answer) => {
    if (answer.outcome === "void" || answer.rollout === null) {
      const code = answer.reason === "conflict" ? "conflict" : "request-invalid";
      throw new LightningError(code, answer.message);
    }
    return rolloutText(answer.rollout);
  });
  return sendJson(reply, 201, `[${texts.join(",")}]`);
}

function tasksOf(request: FastifyRequest): Task[] {
  const fields = bodyFields(request);
  const list = required(fields, "rollouts", asList) ?? [];
  const texts = list.length === 0 ? [] : rawItems(fields.raw("rollouts"));
  const tasks = list.flatMap((item, i) => {
    const loc = ["body", "rollouts", i];
    const task = objectFields(item, texts[i] ?? "{}", loc, fields.issues);
    return task === null ? [] : [taskOf(task)];
  });
  check(fields.issues);
  return tasks;
}

async function dequeue(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = bodyFieldsIfAny(request);
  const limit = Math.min(defaulted(fields, "limit", asInteger, 1), mostClaims);
  const workerId = optional(fields, "worker_id", asId) ?? null;
  check(fields.issues);
  if (limit <= 0) return sendJson(reply, 200, "[]");
  await gateway.rollouts.expire(project);
  const claimed = await gateway.rollouts.claim(project, {
    workerId,
    limit,
    requestId: requestIdOf(request, undefined, `claim/${project}`).id,
  });
  if (claimed.length === 0 && workerId !== null && workerId !== "") {
    await gateway.workers.dequeued(project, workerId, false);
  }
  return sendJson(reply, 200, `[${claimed.map(attemptedText).join(",")}]`);
}

async function start(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = bodyFields(request);
  const task = taskOf(fields);
  const worker_id = optional(fields, "worker_id", asId) ?? null;
  check(fields.issues);
  if (task.resourcesId === null) await gateway.resources.caughtUp();
  const asked = requestIdOf(request, undefined, "start");
  const [rollout_id = ""] = rolloutIds(project, asked, 1);
  const ids = { request: asked.id, rollout: rollout_id, place: 0 };
  const value = { ...enqueueRequest(gateway, project, task, ids), start: true, worker_id };
  const rollout = await ask(gateway, { type: "EnqueueRequested", value });
  return sendJson(reply, 201, attemptedText(rollout));
}
