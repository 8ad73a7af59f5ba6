import type { Deadline } from "../../processors/lifecycle/deadlines.ts";
import type { Rollouts } from "../../producers/gateway/ports.ts";
import type { Request } from "../../schemas/requests.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import type { RolloutTable } from "./rollout-table.ts";

/** What processors/ says of the limits of a rollout. */
export type Limits = {
  /** The limit that a rollout under way runs into next; null: none. */
  limitAhead(rollout: RolloutChanged): Deadline | null;
  /** By which a finished rollout is forgotten before its time; null: it is not finished. */
  roomLimit(rollout: RolloutChanged): Deadline | null;
  /** The request that says so once it passed; `now` in µs. */
  timeOutRequest(rollout: RolloutChanged, limit: Deadline, now: number): Request;
};

/**
 * Asks for limits that have passed by the wall clock, so that whoever reads after one sees it and
 * does not depend on when track-rollouts looks at its clock. Those who ask at the same time share
 * the request.
 */
export function createExpiry(
  table: RolloutTable,
  limits: Limits,
  submit: (requests: readonly Request[]) => Promise<unknown>,
): Rollouts["expire"] {
  /** By the request's id. */
  const asked = new Map<string, Promise<unknown>>();

  function ask(requests: readonly Request[]): void {
    const fresh = requests.filter(({ value }) => !asked.has(value.request_id));
    if (fresh.length === 0) return;
    const answered = submit(fresh);
    for (const { value } of fresh) asked.set(value.request_id, answered);
    const done = (): void => {
      for (const { value } of fresh) asked.delete(value.request_id);
    };
    answered.then(done, done);
  }

  return async (project, rolloutIds) => {
    const now = Date.now() * 1000;
    const rollouts =
      rolloutIds === undefined
        ? table.due(project, now)
        : rolloutIds.flatMap((id) => table.get(keyOf(project, id)) ?? []);
    const requests = rollouts.flatMap((rollout) => {
      const limit = limits.limitAhead(rollout);
      return limit === null || limit.at >= now ? [] : [limits.timeOutRequest(rollout, limit, now)];
    });
    ask(requests);
    await Promise.all(requests.map(({ value }) => asked.get(value.request_id)));
  };
}
