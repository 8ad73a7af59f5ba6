import type { Tagged } from "../../schemas/records.ts";
import { splitKey } from "../../schemas/topics.ts";
import type {
  AttemptEnded,
  Provenance,
  RolloutAssembled,
  SpanKept,
  StepRecorded,
} from "../../schemas/types.ts";
import type { Place } from "../processor.ts";
import { type MatchedCall, timelineOf } from "./match-rewards.ts";
import { selectCalls } from "./select-calls.ts";

export type Assembled = "StepRecorded" | "RolloutAssembled";

/** Where in `spans` the final mark stands. */
type MarkPlace = { readonly partition: number; readonly markOffset: number };

/** The steps of the attempt that counts, in order, and the record that closes its rollout. */
export function assembledRecords(
  spans: readonly SpanKept[],
  mark: AttemptEnded,
  place: MarkPlace,
): Tagged<Assembled>[] {
  const rewards = spans.filter((span) => span.reward !== null);
  const { calls, finalReward } = timelineOf(selectCalls(spans), rewards);
  const steps = calls.map((call, index) => ({
    type: "StepRecorded" as const,
    value: stepOf(call, index, mark, place),
  }));
  const value: RolloutAssembled = {
    project: mark.project,
    rollout_id: mark.rollout_id,
    group_id: mark.group_id,
    group_size: mark.group_size,
    group_deadline_seconds: mark.group_deadline_seconds,
    attempt_id: mark.attempt_id === "" ? null : mark.attempt_id,
    status: mark.rollout_status,
    mode: mark.mode,
    resources_id: mark.resources_id,
    resources_version: mark.resources_version,
    credit: mark.credit,
    steps: steps.length,
    spans: spans.length,
    reward: finalReward?.reward ?? null,
    rewards: finalReward?.rewards ?? {},
    invalid_rewards: spans.filter((span) => span.invalid_reward).length,
    enqueued_at: mark.enqueued_at,
    ended_at: mark.ended_at,
    metadata: mark.metadata,
    provenance: provenance(place, firstOffset(spans, place.markOffset)),
  };
  return [...steps, { type: "RolloutAssembled", value }];
}

function stepOf(
  { span, call, agent, reward }: MatchedCall,
  step_index: number,
  mark: AttemptEnded,
  place: MarkPlace,
): StepRecorded {
  return {
    ...call,
    project: mark.project,
    rollout_id: mark.rollout_id,
    group_id: mark.group_id,
    attempt_id: mark.attempt_id,
    step_index,
    agent,
    policy_version: call.policy_version ?? mark.resources_version,
    reward: reward?.reward ?? null,
    rewards: reward?.rewards ?? {},
    provenance: provenance(place, span.offset),
  };
}

/**
 * Closes a rollout whose spans came but whose end never did, e.g. one that nobody enqueued. Its
 * group and credit strategy were never known: it stands alone, has no steps and asks for nothing.
 */
export function abandonedRecord(
  spans: readonly SpanKept[],
  key: string,
  at: Place,
): Tagged<"RolloutAssembled"> {
  const { project, id } = splitKey(key);
  const last = spans.reduce((offset, span) => Math.max(offset, span.offset), 0);
  const place = { partition: at.partition, markOffset: last };
  const value: RolloutAssembled = {
    project,
    rollout_id: id,
    group_id: id,
    group_size: 1,
    group_deadline_seconds: 0,
    attempt_id: null,
    status: "abandoned",
    mode: null,
    resources_id: null,
    resources_version: null,
    credit: { strategy: "final-reward", parameters: {} },
    steps: 0,
    spans: spans.length,
    reward: null,
    rewards: {},
    invalid_rewards: spans.filter((span) => span.invalid_reward).length,
    enqueued_at: null,
    ended_at: at.timestamp * 1000,
    metadata: "{}",
    provenance: provenance(place, firstOffset(spans, last)),
  };
  return { type: "RolloutAssembled", value };
}

function firstOffset(spans: readonly SpanKept[], otherwise: number): number {
  return spans.reduce((offset, span) => Math.min(offset, span.offset), otherwise);
}

function provenance({ partition, markOffset }: MarkPlace, first_offset: number): Provenance {
  return { topic: "spans", partition, first_offset, last_offset: markOffset };
}
