import type { FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import type { Request } from "../../../schemas/requests.ts";
import { isFinished } from "../../../schemas/statuses.ts";
import type { RolloutChanged } from "../../../schemas/types.ts";
import { requestIdOf } from "../api/asking.ts";
import type { Gateway } from "../context.ts";
import type { Answer } from "../ports.ts";
import { noAttempt, noRollout } from "./reading.ts";
import { asId, invalid } from "./validation.ts";

/** What every request says: what it is about, and its id, the Idempotency-Key where there is one. */
export function about(
  gateway: Gateway,
  request: FastifyRequest,
  ids: { readonly project: string; readonly rolloutId: string },
  verb: string,
): Pick<Request["value"], "project" | "rollout_id" | "request_id" | "requested_at"> {
  return {
    project: ids.project,
    rollout_id: ids.rolloutId,
    request_id: requestIdOf(request, undefined, verb).id,
    requested_at: gateway.now() * 1000,
  };
}

/** The answer to an address there is not. */
function noAddress(): LightningError {
  return new LightningError("not-found", "Not Found", { error_type: null });
}

/** An id in the path. */
export function pathId(request: FastifyRequest, name: string): string {
  const value = (request.params as Record<string, string | undefined>)[name] ?? "";
  // The router takes the address of a list with a slash behind for one with an empty id.
  if (value === "") throw noAddress();
  const result = asId(value);
  if ("is" in result) return result.is;
  throw invalid([{ ...result, loc: ["path", name], input: value }]);
}

/** Submits one request and gives the rollout afterwards; throws what the reference would say. */
export async function ask(gateway: Gateway, request: Request): Promise<RolloutChanged> {
  const { project, rollout_id } = request.value;
  const before = gateway.rollouts.get(project, rollout_id);
  const [answer] = await gateway.rollouts.submit([request]);
  if (answer === undefined) throw new Error("submit gave no verdict");
  if (answer.outcome === "void") throw refusal(answer, request);
  if (answer.rollout === null) throw noRollout(rollout_id);
  countEnd(gateway, before, answer.rollout);
  return answer.rollout;
}

function refusal(answer: Answer, { value }: Request): LightningError {
  const { reason, rollout, message } = answer;
  if (reason === "conflict") return new LightningError("conflict", message);
  if (reason === null) return new LightningError("request-invalid", message);
  if (rollout === null) return noRollout(value.rollout_id);
  if (rollout.attempts.length > 0) {
    const attemptId = "attempt_id" in value ? value.attempt_id : null;
    return noAttempt(value.rollout_id, attemptId ?? "latest");
  }
  const none = `No attempts found for rollout ${value.rollout_id}`;
  return new LightningError("not-found", none, { field: "attempt_id" });
}

/** Counts a rollout that this request ended. */
function countEnd(
  { metrics }: Gateway,
  before: RolloutChanged | undefined,
  { status, mode, ended_at, enqueued_at }: RolloutChanged,
): void {
  if (!isFinished(status) || ended_at === null || ended_at === before?.ended_at) return;
  const labels = { status, mode: mode ?? "unknown" };
  metrics.rollouts.inc(labels);
  metrics.rolloutSeconds.observe(labels, (ended_at - enqueued_at) / 1e6);
}
