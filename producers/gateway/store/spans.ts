import type { FastifyReply, FastifyRequest } from "fastify";
import type { SpanRecorded } from "../../../schemas/types.ts";
import { requestIdOf } from "../api/asking.ts";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { bodyFields } from "./body.ts";
import type { Body } from "./json.ts";
import { logicOf, orderOf, queryFields, textOrNull } from "./query.ts";
import { attemptOf, knownRollout, noAttempt, noRollout, rolloutNow } from "./reading.ts";
import { containing, equal, joined, paged, sorted, spanModel } from "./search.ts";
import { sendJson } from "./sending.ts";
import { spanOf } from "./span-body.ts";
import { spanText } from "./span-text.ts";
import type { StoreRoute } from "./store-route.ts";
import { pageText } from "./text.ts";
import { asId, asText, check, type Fields, required } from "./validation.ts";

/** Spans one by one, their queries and their numbers. Many at once come by OTLP. */
export function spanRoutes(gateway: Gateway): readonly StoreRoute[] {
  const query: StoreRoute[2] = (request, reply) => search(gateway, request, reply);
  return [
    ["POST", "/spans", (request, reply) => add(gateway, request, reply)],
    ["GET", "/spans", query],
    ["POST", "/spans/search", query],
    ["POST", "/spans/next", (request, reply) => next(gateway, request, reply)],
  ];
}

async function add(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = bodyFields(request);
  const span = spanOf(fields, request.body as Body, project);
  check(fields.issues);
  await mustHaveAttempt(gateway, span.value);
  const first = await gateway.keep.one(span);
  return sendJson(reply, 201, first ? spanText(span.value) : "null");
}

async function mustHaveAttempt(gateway: Gateway, span: SpanRecorded): Promise<void> {
  const { project, rollout_id, attempt_id } = span;
  const rollout = await knownRollout(gateway, project, rollout_id);
  if (rollout === undefined) throw noRollout(rollout_id);
  const isThere = (one = rollout): boolean =>
    one.attempts.some((attempt) => attempt.attempt_id === attempt_id);
  if (isThere()) return;
  // Another gateway may have started it a moment ago.
  await gateway.rollouts.caughtUp();
  if (!isThere(gateway.rollouts.get(project, rollout_id))) throw noAttempt(rollout_id, attempt_id);
}

async function next(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const fields = bodyFields(request);
  const rolloutId = required(fields, "rollout_id", asId) ?? "";
  // One counter serves all attempts of a rollout, but the field must be there.
  required(fields, "attempt_id", asText);
  check(fields.issues);
  const { id } = requestIdOf(request, undefined, "sequence");
  const number = await gateway.sequences.next(projectOf(request), rolloutId, id);
  return sendJson(reply, 200, `{"sequence_id":${number}}`);
}

async function search(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const project = projectOf(request);
  const fields = queryFields(request);
  const rolloutId = required(fields, "rollout_id", asText) ?? "";
  const attemptId = textOrNull(fields, "attempt_id");
  const matches = conditionOf(fields);
  const order = orderOf(fields, spanModel, "sequence_id");
  const attempt = await attemptAsked(gateway, project, rolloutId, attemptId);
  const all = attempt === undefined ? [] : await gateway.spans.of(project, rolloutId);
  const found = all.filter(
    (span) => (attempt === null || span.attempt_id === attempt) && matches(span),
  );
  const items = paged(sorted(found, spanModel, order), order);
  return sendJson(reply, 200, pageText(items.map(spanText), order, found.length));
}

/** The attempt whose spans are asked for; null is any, undefined none that there is. */
async function attemptAsked(
  gateway: Gateway,
  project: string,
  rolloutId: string,
  attemptId: string | null,
): Promise<string | null | undefined> {
  if (attemptId !== "latest") return attemptId;
  const rollout = await rolloutNow(gateway, project, rolloutId);
  return rollout === undefined ? undefined : attemptOf(rollout, "latest")?.attempt_id;
}

/** The optional conditions; unlike elsewhere `or` without any matches nothing. */
function conditionOf(fields: Fields): (span: SpanRecorded) => boolean {
  const of = {
    trace_id: (span: SpanRecorded) => span.trace_id,
    span_id: (span: SpanRecorded) => span.span_id,
    parent_id: (span: SpanRecorded) => span.parent_id,
    name: (span: SpanRecorded) => span.name,
  };
  const conditions = Object.entries(of).flatMap(([name, get]) => [
    equal(textOrNull(fields, name), get),
    containing(textOrNull(fields, `${name}_contains`), get),
  ]);
  const logic = logicOf(fields);
  if (logic === "or" && conditions.every((condition) => condition === null)) return () => false;
  return joined(logic, conditions);
}
