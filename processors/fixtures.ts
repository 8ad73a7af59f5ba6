import { noBytes, packInt32 } from "../schemas/bytes.ts";
import type { RecordName } from "../schemas/records.ts";
import type { Request } from "../schemas/requests.ts";
import { keyOf } from "../schemas/topics.ts";
import type {
  AttemptEnded,
  Credit,
  EnqueueRequested,
  RecordTypes,
  RolloutAssembled,
  StepRecorded,
} from "../schemas/types.ts";
import type { Input } from "./drive.ts";
import type { Emitted } from "./processor.ts";

/** Records for tests: valid as they are, each field can be set. Times in ms where not said else. */

/** The log time tests begin at, ms. */
export const t0 = 1_700_000_000_000;

export const grpo: Credit = { strategy: "group-relative", parameters: {}, options: {} };

const config: EnqueueRequested["config"] = {
  timeout_seconds: null,
  unresponsive_seconds: null,
  max_attempts: 1,
  retry_condition: [],
  grace_seconds: 0,
  claim_seconds: null,
  retention_seconds: 3600,
};

export function enqueueOf(
  rollout_id: string,
  {
    config: limits,
    ...fields
  }: Partial<Omit<EnqueueRequested, "config">> & {
    readonly config?: Partial<EnqueueRequested["config"]>;
  } = {},
): Request {
  const value: EnqueueRequested = {
    project: "default",
    rollout_id,
    request_id: `enqueue ${rollout_id}`,
    requested_at: 0,
    input: '{"task": 1.0}',
    mode: "train",
    resources_id: "rs-1",
    resources_version: 7,
    metadata: "{}",
    group_id: rollout_id,
    group_size: 1,
    group_deadline_seconds: 60,
    credit: grpo,
    selection: "{}",
    start: false,
    worker_id: null,
    ...fields,
    config: { ...config, ...limits },
  };
  return { type: "EnqueueRequested", value };
}

type Asked = Exclude<Request["type"], "EnqueueRequested">;

const requestDefaults = {
  ClaimRequested: { worker_id: "w", forced: false },
  HeartbeatRequested: { attempt_id: "latest", by_span: true },
  EndRequested: { attempt_id: "latest", status: "succeeded", error: null },
  PatchRequested: { attempt_id: null, patch: "{}", expected_status: null, rederive: false },
  CancelRequested: {},
  TimeoutRequested: { attempt_id: null, limit: "retention", deadline: 0 },
  SequenceRequested: { count: 1, at_least: null, attempt_id: null },
} as const;

/** A request of the given type with the usual fields. */
export function ask<T extends Asked>(
  type: T,
  rollout_id: string,
  request_id: string,
  fields: Partial<RecordTypes[T]> = {},
): Request {
  const common = { project: "default", rollout_id, request_id, requested_at: 0 };
  return { type, value: { ...common, ...requestDefaults[type], ...fields } } as Request;
}

/** The final mark of rollout `ro`, attempt `at`, ended at {@link t0}. */
export function markOf(fields: Partial<AttemptEnded> = {}): AttemptEnded {
  return {
    project: "default",
    rollout_id: "ro",
    attempt_id: "at",
    attempt_sequence_id: 1,
    attempt_status: "succeeded",
    final: true,
    rollout_status: "succeeded",
    mode: "train",
    resources_id: "rs-1",
    resources_version: 7,
    group_id: "g",
    group_size: 1,
    group_deadline_seconds: 60,
    credit: grpo,
    selection: "{}",
    grace_seconds: 0,
    metadata: "{}",
    enqueued_at: (t0 - 9000) * 1000,
    started_at: (t0 - 8000) * 1000,
    ended_at: t0 * 1000,
    request_offset: 3,
    ...fields,
  };
}

const provenance = { topic: "spans", partition: 0, first_offset: 0, last_offset: 9 };

/** A step of group `g`. */
export function stepOf(
  rollout_id: string,
  step_index: number,
  reward: number | null,
): StepRecorded {
  return {
    project: "default",
    rollout_id,
    group_id: "g",
    attempt_id: `at ${rollout_id}`,
    step_index,
    span_id: `${rollout_id} ${step_index}`,
    trace_id: "t",
    response_id: null,
    agent: "",
    model: "m",
    policy_version: step_index,
    messages: "[]",
    completion: "{}",
    tools: null,
    prompt_ids: packInt32([1, 2]),
    response_ids: packInt32([3, 4, 5]),
    logprobs: noBytes,
    finish_reason: "stop",
    prompt_tokens: 2,
    completion_tokens: 3,
    start_time: step_index,
    end_time: step_index,
    reward,
    rewards: {},
    policy: "",
    choice: 0,
    state_id: null,
    potential: null,
    temperature: null,
    top_p: null,
    reward_spans: [],
    revision: 0,
    provenance,
  };
}

/** The closing record of a member of group `g`, ended at {@link t0}. */
export function memberOf(
  rollout_id: string,
  steps: number,
  reward: number | null,
  fields: Partial<RolloutAssembled> = {},
): RolloutAssembled {
  return {
    project: "default",
    rollout_id,
    group_id: "g",
    group_size: 2,
    group_deadline_seconds: 60,
    attempt_id: `at ${rollout_id}`,
    status: "succeeded",
    mode: "train",
    resources_id: "rs-1",
    resources_version: 7,
    credit: grpo,
    selection: "{}",
    steps,
    calls: steps,
    omitted: 0,
    spans: steps,
    reward,
    rewards: {},
    invalid_rewards: 0,
    unmatched_rewards: 0,
    late_rewards: 0,
    grace_seconds: 0,
    revision: 0,
    enqueued_at: t0 * 1000,
    ended_at: t0 * 1000,
    metadata: "{}",
    provenance,
    ...fields,
  };
}

/** A record in the log under its rollout's key, or its group's for what stands on `steps`. */
export function input(record: Omit<Input, "key" | "timestamp">, timestamp = t0): Input {
  const { project, rollout_id } = record.value as { project: string; rollout_id: string };
  const onSteps = record.type === "StepRecorded" || record.type === "RolloutAssembled";
  const id = onSteps ? (record.value as StepRecorded).group_id : rollout_id;
  return { ...record, key: keyOf(project, id), timestamp } as Input;
}

/** The values of the emitted records of one type. */
export function valuesOf<T extends RecordName>(
  out: readonly Emitted<RecordName>[],
  type: T,
): RecordTypes[T][] {
  return out.flatMap((emitted) => (emitted.type === type ? [emitted.value as RecordTypes[T]] : []));
}
