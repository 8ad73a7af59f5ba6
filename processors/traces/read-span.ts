import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import type { Place } from "../processor.ts";
import { readAgent } from "./agents.ts";
import { textOf } from "./attributes.ts";
import { readCall } from "./calls.ts";
import { readLinks } from "./links.ts";
import { isRewardScope, noReward, readReward } from "./rewards.ts";
import { readSpanLinks } from "./span-links.ts";
import { anySubject, subjects, subjectsOf } from "./subjects.ts";
import { readTool } from "./tools.ts";

/**
 * Resource attributes that say whose clock the times of a span are, the surest first
 * (https://opentelemetry.io/docs/specs/semconv/resource/): processes of one host share one.
 */
const clockNames: readonly string[] = ["host.id", "host.name", "service.instance.id"];

/** Links of the many spans that have none; nobody writes into what was read. */
const none: never[] = [];

/**
 * What a span contributes to its rollout, in the words of no framework: adding a convention is
 * adding a row to the table in agents.ts, conventions.ts, rewards.ts or tools.ts. Attributes no row
 * knows stay on the span and are not guessed at. Never throws; linear in the attributes.
 */
export function readSpan(span: SpanRecorded, at: Place): SpanKept {
  return keptSpan(span, at, anySubject);
}

/** The same, with what it says of some subjects alone. */
export function keptSpan(
  span: SpanRecorded,
  at: Pick<Place, "offset" | "timestamp">,
  asked: number,
): SpanKept {
  const about = subjectsOf(span) & asked;
  const said = (about & subjects.reward) === 0 ? noReward : readReward(span);
  return {
    attempt_id: span.attempt_id,
    span_id: span.span_id,
    parent_id: span.parent_id,
    sequence_id: span.sequence_id,
    start_time: span.start_time,
    end_time: span.end_time,
    offset: at.offset,
    agent: (about & subjects.agent) === 0 ? null : readAgent(span),
    call: (about & subjects.call) === 0 ? null : readCall(span),
    reward: said.reward,
    reward_name: said.name,
    rewards: said.rewards,
    invalid_reward: said.invalid,
    reward_scope: isRewardScope(span),
    tool: (about & subjects.tool) === 0 ? null : readTool(span),
    received_at: at.timestamp * 1000,
    name: span.name,
    trace_id: span.trace_id,
    clock: readClock(span),
    links: (about & subjects.links) === 0 ? none : readLinks(span),
    span_links: said.reward === null ? none : readSpanLinks(span),
  };
}

/** Whose clock the times of a span are, or nothing when that is not said. */
function readClock({ resource }: SpanRecorded): string {
  return textOf({ attributes: resource }, clockNames) ?? "";
}
