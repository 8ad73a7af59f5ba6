import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import type { Place } from "../processor.ts";
import { readAgent } from "./agents.ts";
import { readCall } from "./calls.ts";
import { isRewardScope, readReward } from "./rewards.ts";
import { readTool } from "./tools.ts";

/**
 * What a span contributes to its rollout, in the words of no framework: adding a convention is
 * adding a row to the table in agents.ts, calls.ts, rewards.ts or tools.ts. Linear in attributes.
 */
export function readSpan(span: SpanRecorded, at: Place): SpanKept {
  const { reward, rewards, invalid } = readReward(span);
  return {
    attempt_id: span.attempt_id,
    span_id: span.span_id,
    parent_id: span.parent_id,
    sequence_id: span.sequence_id,
    start_time: span.start_time,
    end_time: span.end_time,
    offset: at.offset,
    agent: readAgent(span),
    call: readCall(span),
    reward,
    rewards,
    invalid_reward: invalid,
    reward_scope: isRewardScope(span),
    tool: readTool(span),
    received_at: at.timestamp * 1000,
  };
}
