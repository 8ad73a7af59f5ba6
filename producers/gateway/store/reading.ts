import { LightningError } from "../../../schemas/errors.ts";
import type { RolloutChanged } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";

/**
 * Waits until the fold has read everything that any gateway has answered, and until the limits that
 * passed by the wall clock are in the log: what is read afterwards is the state as of the call.
 */
export async function upToDate(
  gateway: Gateway,
  project: string,
  rolloutIds?: readonly string[],
): Promise<void> {
  await gateway.rollouts.caughtUp();
  await gateway.rollouts.expire(project, rolloutIds);
}

/** A rollout as of the call, live or past. */
export async function rolloutNow(
  gateway: Gateway,
  project: string,
  rolloutId: string,
): Promise<RolloutChanged | undefined> {
  await upToDate(gateway, project, [rolloutId]);
  return gateway.rollouts.get(project, rolloutId) ?? gateway.history.get(project, rolloutId);
}

/**
 * A rollout that a write names. What this gateway knows needs no waiting: the log has the last word
 * on the write anyway.
 */
export async function knownRollout(
  gateway: Gateway,
  project: string,
  rolloutId: string,
): Promise<RolloutChanged | undefined> {
  const { rollouts, history } = gateway;
  const known = rollouts.get(project, rolloutId);
  if (known !== undefined) return known;
  await rollouts.caughtUp();
  return rollouts.get(project, rolloutId) ?? history.get(project, rolloutId);
}

/** The attempt `id` of a rollout, `latest` being the last one. */
export function attemptOf(rollout: RolloutChanged, id: string) {
  const { attempts } = rollout;
  return id === "latest" ? attempts.at(-1) : attempts.find((one) => one.attempt_id === id);
}

/** The reference's words for a rollout that is not there; to its client a 404 is final. */
export function noRollout(rolloutId: string): LightningError {
  return new LightningError("not-found", `Rollout ${rolloutId} not found`, { field: "rollout_id" });
}

/** Its words for an attempt that is not there. */
export function noAttempt(rolloutId: string, attemptId: string): LightningError {
  const message = `Attempt ${attemptId} not found for rollout ${rolloutId}`;
  return new LightningError("not-found", message, { field: "attempt_id" });
}
