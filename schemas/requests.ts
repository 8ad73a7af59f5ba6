import type { Tagged } from "./records.ts";

/** A record on `requests`. */
export type Request = Tagged<
  | "EnqueueRequested"
  | "ClaimRequested"
  | "HeartbeatRequested"
  | "EndRequested"
  | "PatchRequested"
  | "CancelRequested"
  | "TimeoutRequested"
  | "SequenceRequested"
>;

/**
 * What the log made of a request: `accepted` once, `repeated` when it was applied before (the
 * answer is the same), `void` when it changes nothing.
 */
export type Verdict = {
  readonly outcome: "accepted" | "repeated" | "void";
  /** For `void`: `unknown` rollout or attempt, `conflict` with the status, null: a bad request. */
  readonly reason: "unknown" | "conflict" | null;
  /** For people; names the field, what was read and what is allowed. */
  readonly message: string;
  /** Attempt the request was about or made; null when it has none. */
  readonly attemptId: string | null;
  /** First sequence number handed out by a SequenceRequested. */
  readonly sequenceId: number | null;
};
