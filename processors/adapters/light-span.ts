import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { readAgent } from "../traces/agents.ts";
import { readLinks } from "../traces/links.ts";
import { readClock } from "../traces/read-span.ts";
import { isRewardScope, readReward } from "../traces/rewards.ts";

/**
 * What the tree needs to know of a span, rewards included: what a call says is read once, into its
 * triplet.
 */
export function lightSpan(span: SpanRecorded): SpanKept {
  const { reward, name, rewards, invalid } = readReward(span);
  return {
    attempt_id: span.attempt_id,
    span_id: span.span_id,
    parent_id: span.parent_id,
    sequence_id: span.sequence_id,
    start_time: span.start_time,
    end_time: span.end_time,
    offset: 0,
    agent: readAgent(span),
    call: null,
    reward,
    reward_name: name,
    rewards,
    invalid_reward: invalid,
    reward_scope: isRewardScope(span),
    tool: null,
    received_at: 0,
    name: span.name,
    trace_id: span.trace_id,
    clock: readClock(span),
    links: reward === null ? [] : readLinks(span),
  };
}
