import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import type { Place } from "../processor.ts";
import { readAgent } from "./agents.ts";
import { textOf } from "./attributes.ts";
import { readCall } from "./calls.ts";
import { readLinks } from "./links.ts";
import { isRewardScope, readReward } from "./rewards.ts";
import { readSpanLinks } from "./span-links.ts";
import { readTool } from "./tools.ts";

/**
 * Resource attributes that say whose clock the times of a span are, the surest first
 * (https://opentelemetry.io/docs/specs/semconv/resource/): processes of one host share one.
 */
const clockNames: readonly string[] = ["host.id", "host.name", "service.instance.id"];

/**
 * What a span contributes to its rollout, in the words of no framework: adding a convention is
 * adding a row to the table in agents.ts, conventions.ts, rewards.ts or tools.ts. Attributes no row
 * knows stay on the span and are not guessed at. Never throws; linear in the attributes.
 */
export function readSpan(span: SpanRecorded, at: Place): SpanKept {
  return keptSpan(span, at, { call: readCall(span), tool: readTool(span) });
}

/** The same with what it says of a call and a tool read already, or by somebody else. */
export function keptSpan(
  span: SpanRecorded,
  at: Pick<Place, "offset" | "timestamp">,
  said: Pick<SpanKept, "call" | "tool">,
): SpanKept {
  const { reward, name, rewards, invalid } = readReward(span);
  return {
    attempt_id: span.attempt_id,
    span_id: span.span_id,
    parent_id: span.parent_id,
    sequence_id: span.sequence_id,
    start_time: span.start_time,
    end_time: span.end_time,
    offset: at.offset,
    agent: readAgent(span),
    call: said.call,
    reward,
    reward_name: name,
    rewards,
    invalid_reward: invalid,
    reward_scope: isRewardScope(span),
    tool: said.tool,
    received_at: at.timestamp * 1000,
    name: span.name,
    trace_id: span.trace_id,
    clock: readClock(span),
    links: readLinks(span),
    span_links: reward === null ? [] : readSpanLinks(span),
  };
}

/** Whose clock the times of a span are, or nothing when that is not said. */
function readClock({ resource }: SpanRecorded): string {
  return textOf({ attributes: resource }, clockNames) ?? "";
}
