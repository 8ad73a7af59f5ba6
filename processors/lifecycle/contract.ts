/** For tests: the rows of reference/v0.3-store.md, sections 3 and 4, that are about state. */
import type { Request } from "../../schemas/requests.ts";
import type { Attempt, RolloutChanged } from "../../schemas/types.ts";
import { ask, enqueueOf, t0 } from "../fixtures.ts";
import { attemptIdFor } from "../rollout-lifecycle.ts";
import { fold } from "./fold.ts";

export const at = attemptIdFor("ro", "a");
export const second = attemptIdFor("ro", "b");
export const claim = (id: string, fields = {}) => ask("ClaimRequested", "ro", id, fields);
export const start = (id: string) => claim(id, { forced: true });
export const span = (attempt_id = at) =>
  ask("HeartbeatRequested", "ro", `span ${attempt_id}`, { attempt_id });
export const set = (fields: object, id = JSON.stringify(fields)) =>
  ask("PatchRequested", "ro", `r ${id}`, { patch: JSON.stringify(fields) });
export const setAttempt = (fields: object, attempt_id = "latest", more = {}) =>
  ask("PatchRequested", "ro", `a ${JSON.stringify(fields)} ${attempt_id}`, {
    attempt_id,
    patch: JSON.stringify(fields),
    ...more,
  });
export const silence = (id: string, n: number, limit = "unresponsive") =>
  ask("TimeoutRequested", "ro", `t ${id}`, {
    attempt_id: attemptIdFor("ro", id),
    limit,
    deadline: (t0 + n * 1000 + 1000) * 1000,
  });
export const cancel = ask("CancelRequested", "ro", "c");
export const time = (n: number): number => (t0 + n * 1000) * 1000;

export const retries = { max_attempts: 2, retry_condition: ["failed", "timeout", "unresponsive"] };

export type Expected = {
  readonly rollout?: Partial<RolloutChanged>;
  /** The last attempts, newest last. */
  readonly attempts?: readonly Partial<Attempt>[];
};
export type Row = readonly [
  string,
  readonly Request[],
  Expected,
  Partial<RolloutChanged["config"]>?,
];

/** The rollout after a row's requests, and the same with what the row expects put into it. */
export function outcomeOf([, requests, { rollout: expected = {}, attempts }, config = {}]: Row) {
  const { rollout } = fold(enqueueOf("ro", { config }), ...requests);
  if (rollout === undefined) return { rollout, expected: null };
  const all = attempts?.map((attempt, i) => ({ ...rollout.attempts[i], ...attempt }));
  return { rollout, expected: { ...rollout, ...expected, attempts: all ?? rollout.attempts } };
}
