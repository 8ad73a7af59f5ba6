import { messageOf } from "../../schemas/errors.ts";
import type { Tagged } from "../../schemas/records.ts";
import { splitKey } from "../../schemas/topics.ts";
import type {
  AttemptEnded,
  CallOmitted,
  Provenance,
  RolloutAssembled,
  SpanKept,
  StepRecorded,
} from "../../schemas/types.ts";
import { digestOf } from "../digest.ts";
import type { Place } from "../processor.ts";
import type { Omission } from "./omissions.ts";
import { defaultSelection, parseSelection, type Selection } from "./selection.ts";
import { readTrace, type Trace, type TracedCall } from "./trace.ts";

export type Assembled = "StepRecorded" | "CallOmitted" | "RolloutAssembled";

/** A longer grace is cut to this, so that every rollout is closed some day, s. */
const graceLimit = 24 * 3600;

/** Where in `spans` the final mark stands, and the how-manieth time its rollout is written. */
export type Writing = {
  readonly partition: number;
  readonly markOffset: number;
  readonly revision: number;
};

/**
 * The steps of the attempt that counts, in order; why its other calls are none; and the record that
 * closes the rollout. A selection that cannot be read loses no rollout: the default one is used, and
 * one of the reasons says so.
 */
export function assembledRecords(
  spans: readonly SpanKept[],
  mark: AttemptEnded,
  writing: Writing,
): Tagged<Assembled>[] {
  const { selection, flaw } = selectionOf(mark.selection);
  const trace = readTrace(spans, selection);
  const counts = countsOf(spans, writing.markOffset);
  const reasons = [...(flaw === null ? [] : [flaw]), ...trace.omitted];
  return [
    ...trace.calls.map((call, index) => ({
      type: "StepRecorded" as const,
      value: stepOf(call, index, mark, writing),
    })),
    ...reasons.map((omission) => ({
      type: "CallOmitted" as const,
      value: omittedOf(
        omission,
        mark,
        provenance(writing, omission.span?.offset ?? counts.first),
        writing,
      ),
    })),
    {
      type: "RolloutAssembled" as const,
      value: closingOf({ mark, trace, counts, omitted: reasons.length, writing }),
    },
  ];
}

/**
 * Says whether two writings of a rollout would teach the same: same steps, rewards and reasons. When
 * and where in the log their spans came does not count.
 */
export function writtenDigest(records: readonly Tagged<Assembled>[]): string {
  return digestOf(
    records.map(({ type, value }) => {
      const said = { ...value, type, provenance: null, revision: 0 };
      return type === "RolloutAssembled" ? { ...said, spans: 0, late_rewards: 0 } : said;
    }),
  );
}

/** How long late spans count, s; what is no such time is none. */
export function graceOf({ grace_seconds }: AttemptEnded): number {
  return grace_seconds > 0 ? Math.min(grace_seconds, graceLimit) : 0;
}

type ReadSelection = { readonly selection: Selection; readonly flaw: Omission | null };

function selectionOf(text: string): ReadSelection {
  try {
    return { selection: parseSelection(text), flaw: null };
  } catch (error) {
    const detail = messageOf(error);
    return {
      selection: defaultSelection,
      flaw: { span: null, agent: "", reason: "selection-invalid", detail },
    };
  }
}

type Closing = {
  readonly mark: AttemptEnded;
  readonly trace: Trace;
  readonly counts: Counts;
  readonly omitted: number;
  readonly writing: Writing;
};

/** Field by field, as the steps: to spread what has so many fields costs ten times as much. */
function closingOf({ mark, trace, counts, omitted, writing }: Closing): RolloutAssembled {
  const { calls, finalReward, unmatched } = trace;
  return {
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
    grace_seconds: graceOf(mark),
    selection: mark.selection,
    calls: counts.calls,
    spans: counts.spans,
    reward: finalReward?.reward ?? null,
    rewards: finalReward?.rewards ?? {},
    invalid_rewards: counts.invalidRewards,
    unmatched_rewards: unmatched.length,
    late_rewards: counts.lateRewards,
    revision: writing.revision,
    enqueued_at: mark.enqueued_at,
    ended_at: mark.ended_at,
    metadata: mark.metadata,
    steps: calls.length,
    omitted,
    provenance: provenance(writing, counts.first),
  };
}

function stepOf(of: TracedCall, step_index: number, mark: AttemptEnded, at: Writing): StepRecorded {
  const { call } = of;
  return {
    span_id: call.span_id,
    trace_id: call.trace_id,
    response_id: call.response_id,
    model: call.model,
    messages: call.messages,
    completion: call.completion,
    tools: call.tools,
    prompt_ids: call.prompt_ids,
    response_ids: call.response_ids,
    logprobs: call.logprobs,
    finish_reason: call.finish_reason,
    prompt_tokens: call.prompt_tokens,
    completion_tokens: call.completion_tokens,
    start_time: call.start_time,
    end_time: call.end_time,
    state_id: call.state_id,
    potential: call.potential,
    temperature: call.temperature,
    top_p: call.top_p,
    project: mark.project,
    rollout_id: mark.rollout_id,
    group_id: mark.group_id,
    attempt_id: mark.attempt_id,
    step_index,
    agent: of.agent,
    policy_version: call.policy_version ?? mark.resources_version,
    reward: of.reward,
    rewards: { ...of.rewards },
    policy: of.policy,
    choice: of.choice,
    reward_spans: [...of.rewardSpans],
    revision: at.revision,
    provenance: provenance(at, of.span.offset),
  };
}

type About = Pick<AttemptEnded, "project" | "rollout_id" | "group_id" | "attempt_id">;

function omittedOf(
  { span, agent, reason, detail }: Pick<Omission, "span" | "agent" | "detail"> & { reason: string },
  { project, rollout_id, group_id, attempt_id }: About,
  from: Provenance,
  { revision }: Writing,
): CallOmitted {
  return {
    project,
    rollout_id,
    group_id,
    attempt_id,
    span_id: span?.span_id ?? "",
    agent,
    model: span?.call?.model ?? "",
    reason,
    detail,
    revision,
    provenance: from,
  };
}

/**
 * Closes a rollout whose spans came but whose end never did, e.g. one that nobody enqueued. Its
 * group and credit strategy were never known: it stands alone, has no steps and asks for nothing.
 */
export function abandonedRecords(
  spans: readonly SpanKept[],
  key: string,
  at: Place,
): Tagged<Assembled>[] {
  const { project, id } = splitKey(key);
  const last = spans.reduce((offset, span) => Math.max(offset, span.offset), 0);
  const writing = { partition: at.partition, markOffset: last, revision: 0 };
  const counts = countsOf(spans, last);
  const calls = spans.filter(({ call }) => call !== null);
  const omitted = calls.map((span) => {
    const about = { project, rollout_id: id, group_id: id, attempt_id: span.attempt_id };
    const omission = { span, agent: "", reason: "abandoned", detail: neverEnded };
    return omittedOf(omission, about, provenance(writing, span.offset), writing);
  });
  const value: RolloutAssembled = {
    ...nobodysRollout,
    project,
    rollout_id: id,
    group_id: id,
    calls: counts.calls,
    omitted: omitted.length,
    spans: counts.spans,
    invalid_rewards: counts.invalidRewards,
    ended_at: at.timestamp * 1000,
    provenance: provenance(writing, counts.first),
  };
  return [
    ...omitted.map((one) => ({ type: "CallOmitted" as const, value: one })),
    { type: "RolloutAssembled", value },
  ];
}

const neverEnded = "spans came, but for a day no end of the rollout did";

/** What is known of a rollout that nobody enqueued or ended. */
const nobodysRollout = {
  group_size: 1,
  group_deadline_seconds: 0,
  grace_seconds: 0,
  attempt_id: null,
  status: "abandoned",
  mode: null,
  resources_id: null,
  resources_version: null,
  credit: { strategy: "final-reward", parameters: {}, options: {} },
  selection: "{}",
  steps: 0,
  reward: null,
  rewards: {},
  unmatched_rewards: 0,
  late_rewards: 0,
  revision: 0,
  enqueued_at: null,
  metadata: "{}",
} as const;

/** What a rollout's spans come to. */
type Counts = {
  readonly spans: number;
  readonly calls: number;
  readonly invalidRewards: number;
  /** Rewards behind the final mark. */
  readonly lateRewards: number;
  /** Offset of the first span. */
  readonly first: number;
};

function countsOf(spans: readonly SpanKept[], markOffset: number): Counts {
  let [calls, invalidRewards, lateRewards, first] = [0, 0, 0, markOffset];
  for (const { call, reward, invalid_reward, offset } of spans) {
    if (call !== null) calls++;
    if (invalid_reward) invalidRewards++;
    if (reward !== null && offset > markOffset) lateRewards++;
    if (offset < first) first = offset;
  }
  return { spans: spans.length, calls, invalidRewards, lateRewards, first };
}

function provenance({ partition, markOffset }: Writing, first_offset: number): Provenance {
  return { topic: "spans", partition, first_offset, last_offset: markOffset };
}
