import type { Call, SpanKept } from "../../schemas/types.ts";
import type { TraceNode } from "./tree.ts";

/** What is to be known of a call to give it a reward. */
export type RewardableCall = {
  readonly node: TraceNode;
  readonly span: SpanKept;
  readonly call: Pick<Call, "response_id" | "choices">;
};

/** What is matched. */
export type Matter<C extends RewardableCall> = {
  /** In order. */
  readonly calls: readonly C[];
  /** The call that a span is, or is a copy of, by span id. */
  readonly copies: ReadonlyMap<string, C>;
  /** In order. */
  readonly rewards: readonly SpanKept[];
  /** The whole tree, parents before their children. */
  readonly nodes: readonly TraceNode[];
};
