import type { FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import type { Request } from "../../../schemas/requests.ts";
import type { Attempt, RolloutChanged } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";
import { checkId, hexId } from "../ids.ts";
import type { Answer } from "../ports.ts";

/** Id of a request: `given` ones come again when a client repeats itself. */
export type RequestId = { readonly id: string; readonly given: boolean };

/**
 * The Idempotency-Key header, else the body's request id, else a random one. What a client chose
 * counts for one verb about one thing (`scope`) only: the same key on an enqueue and on a cancel
 * must not make the log take the second for a repetition of the first.
 */
export function requestIdOf(
  request: FastifyRequest,
  said: string | undefined,
  scope: string,
): RequestId {
  const header = request.headers["idempotency-key"];
  const chosen = header === undefined ? said : checkId(String(header), "Idempotency-Key");
  return chosen === undefined
    ? { id: hexId(32, null), given: false }
    : { id: `${scope}/${chosen}`, given: true };
}

/** A path parameter that is an id. */
export function idParam(
  request: FastifyRequest,
  name: "rollout" | "attempt" | "resources",
): string {
  const params = request.params as Record<string, string | undefined>;
  return checkId(params[name] ?? "", name);
}

/** Submits one request; throws `not-found` or `conflict` when the log voids it. */
export async function ask(gateway: Gateway, request: Request): Promise<Answer> {
  const [verdict] = await gateway.rollouts.submit([request]);
  if (verdict === undefined) throw new Error("submit gave no verdict");
  mustStand(verdict, "rollout");
  return verdict;
}

/** Throws when the log voided a request. */
export function mustStand(verdict: Answer, field: string): void {
  if (verdict.outcome !== "void") return;
  const code = verdict.reason === "unknown" ? "not-found" : "conflict";
  throw new LightningError(code, verdict.message, { field });
}

/** A rollout this gateway knows; throws `not-found`. */
export function knownRollout(gateway: Gateway, project: string, rolloutId: string): RolloutChanged {
  const rollout = gateway.rollouts.get(project, rolloutId);
  if (rollout !== undefined) return rollout;
  throw new LightningError(
    "not-found",
    `rollout ${JSON.stringify(rolloutId)} is not in project ${project}, or it ended too long ago`,
    { field: "rollout" },
  );
}

/** An attempt of a rollout, `latest` being the last one; throws `not-found`. */
export function knownAttempt(rollout: RolloutChanged, attemptId: string): Attempt {
  const { attempts } = rollout;
  const attempt =
    attemptId === "latest"
      ? attempts.at(-1)
      : attempts.find((candidate) => candidate.attempt_id === attemptId);
  if (attempt !== undefined) return attempt;
  throw new LightningError(
    "not-found",
    `attempt ${JSON.stringify(attemptId)} is none of the ${attempts.length} of rollout ${JSON.stringify(rollout.rollout_id)}`,
    { field: "attempt" },
  );
}
