import type { SpanKept } from "../../schemas/types.ts";

/** Why an LLM call gave no step, or a rollout none at all, and what each reason means. */
export const omissionReasons = {
  "not-selected": "no agent above the call is one of selection.agents",
  "not-a-wanted-call": "the span's name is not one selection.calls asks for",
  "no-token-ids": "the call carries no token ids and only calls that do were asked for",
  "empty-response": "nothing of the response was recorded: no text, no tool call, no token ids",
  failed: "the call ended in an error without a response",
  duplicate: "another span of the same call counts",
  judge: "the call was made to compute a reward",
  "no-calls": "no span of the attempt that counts is an LLM call",
  "selection-invalid": "the rollout's selection cannot be read; the default one was used",
  "equal-rewards": "all rewards of the group are equal, there is nothing to learn from it",
  "group-incomplete": "the group was closed before the members its credit strategy needs had ended",
  "failed-rollout": "the rollout did not succeed, and its credit strategy excludes such",
  counterfactual: "the rollout ran without an agent and only measures what that contributes",
  "not-finite": "the rewards are too large for its credit strategy to compare",
} as const;

export type OmissionReason = keyof typeof omissionReasons;

/** A call that gives no step, or, with a null span, a rollout that gives none. */
export type Omission = {
  readonly span: SpanKept | null;
  /** Nearest agent above it; empty when there is none. */
  readonly agent: string;
  readonly reason: OmissionReason;
  /** The reason in words, with what was read. */
  readonly detail: string;
};
