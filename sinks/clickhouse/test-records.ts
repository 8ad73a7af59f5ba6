import { packFloat32, packFloat64, packInt32 } from "../../schemas/bytes.ts";
import type { Tagged } from "../../schemas/records.ts";
import type * as Records from "../../schemas/types.ts";
import type { Delivered, Delivery } from "../sink.ts";

const at = 1_790_000_000_123_456;
const credit = {
  strategy: "group-relative",
  parameters: { gamma: 0.99 },
  options: { fallback: "final-reward" },
};

export const noAttributes: Records.Attributes = {
  strings: {},
  longs: {},
  doubles: {},
  booleans: {},
  int_lists: {},
  double_lists: {},
  json: {},
};

/** One attribute of each kind, and the numbers that are hard. */
const everyKind: Records.Attributes = {
  strings: { "gen_ai.request.model": "room-1", "gen_ai.operation.name": "chat" },
  longs: { "gen_ai.usage.input_tokens": 12, big: Number.MAX_SAFE_INTEGER },
  doubles: { "gen_ai.request.temperature": 1 },
  booleans: { stream: true },
  int_lists: { prompt_token_ids: packInt32([1, 2, -3]) },
  double_lists: { logprobs: packFloat64([-0.5, Number.NaN, Number.NEGATIVE_INFINITY]) },
  json: { stop: '["a","b"]', huge: "12345678901234567890" },
};

export function span(values: Partial<Records.SpanRecorded> = {}): Tagged<"SpanRecorded"> {
  const value: Records.SpanRecorded = {
    project: "default",
    rollout_id: "ro-1",
    attempt_id: "at-1",
    sequence_id: 1,
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: "b7ad6b7169203331",
    parent_id: null,
    name: "openai.chat.completion",
    kind: "CLIENT",
    start_time: at,
    end_time: at + 1500,
    start_nanos: 1,
    end_nanos: 999,
    status_code: "OK",
    status_message: null,
    attributes: everyKind,
    resource: { ...noAttributes, strings: { "service.name": "room" }, longs: { pid: 7 } },
    resource_schema_url: "",
    scope_name: "lightning",
    scope_version: "1",
    trace_state: "",
    flags: 1,
    events: [],
    links: [],
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: null,
  };
  return { type: "SpanRecorded", value: { ...value, ...values } };
}

export function attemptEnded(values: Partial<Records.AttemptEnded> = {}): Tagged<"AttemptEnded"> {
  const value: Records.AttemptEnded = {
    project: "default",
    rollout_id: "ro-1",
    attempt_id: "at-1",
    attempt_sequence_id: 1,
    attempt_status: "succeeded",
    final: true,
    rollout_status: "succeeded",
    mode: "train",
    resources_id: "main",
    resources_version: 3,
    group_id: "g-1",
    group_size: 2,
    group_deadline_seconds: 60,
    credit,
    selection: '{"repair":false}',
    grace_seconds: 0,
    metadata: "{}",
    enqueued_at: at,
    started_at: at,
    ended_at: at,
    request_offset: 9,
  };
  return { type: "AttemptEnded", value: { ...value, ...values } };
}

const attempt: Records.Attempt = {
  attempt_id: "at-1",
  sequence_id: 1,
  status: "running",
  worker_id: null,
  started_at: at,
  ended_at: null,
  last_heartbeat_at: at + 5,
  metadata: null,
};

export function rolloutChanged(
  values: Partial<Records.RolloutChanged> = {},
): Tagged<"RolloutChanged"> {
  const value: Records.RolloutChanged = {
    project: "default",
    rollout_id: "ro-1",
    status: "running",
    input: '{"task":"find a room"}',
    mode: "train",
    resources_id: "main",
    resources_version: 3,
    config: {
      timeout_seconds: 60,
      unresponsive_seconds: null,
      max_attempts: 3,
      retry_condition: ["timeout"],
      grace_seconds: 0,
      claim_seconds: null,
      retention_seconds: 3600,
    },
    metadata: "{}",
    group_id: "g-1",
    group_size: 2,
    group_deadline_seconds: 60,
    credit,
    selection: '{"repair":false}',
    enqueued_at: at,
    queued_at: at,
    keeps_place: false,
    ended_at: null,
    attempts: [attempt, { ...attempt, attempt_id: "at-2", sequence_id: 2 }],
    next_sequence_id: 4,
    recent_requests: ["rq-1"],
    recent_sequences: [],
    marked_attempts: 0,
    request_offset: 5,
    error: null,
  };
  return { type: "RolloutChanged", value: { ...value, ...values } };
}

export function workerChanged(
  values: Partial<Records.WorkerChanged> = {},
): Tagged<"WorkerChanged"> {
  const value: Records.WorkerChanged = {
    project: "default",
    worker_id: "w-1",
    first_seen_at: at,
    last_heartbeat_at: at + 1,
    stats_at: at + 1,
    heartbeat_stats: '{"gpu": 1.0}',
    last_dequeue_at: null,
    status_at: at + 2,
    status: "busy",
    status_order: 3,
    current_at: at + 2,
    current_order: 3,
    rollout_id: "ro-1",
    attempt_id: "at-1",
    last_busy_at: at + 2,
    last_idle_at: null,
  };
  return { type: "WorkerChanged", value: { ...value, ...values } };
}

const call = {
  span_id: "b7ad6b7169203331",
  trace_id: "0af7651916cd43dd8448eb211c80319c",
  response_id: "resp-1",
  agent: "finder",
  model: "room-1",
  policy_version: 3,
  messages: '[{"role":"user","content":"Find a room"}]',
  completion: '{"role":"assistant","content":"A103"}',
  tools: null,
  prompt_ids: packInt32([1, 2, 3]),
  response_ids: packInt32([4, 5]),
  logprobs: packFloat32([-0.5, Number.NEGATIVE_INFINITY]),
  finish_reason: "stop",
  prompt_tokens: 3,
  completion_tokens: 2,
  start_time: at,
  end_time: at + 10,
};
const chosen = {
  policy: "writer",
  choice: 1,
  state_id: "room-list",
  potential: 0.25,
  temperature: 0.5,
  top_p: 1,
  reward_spans: ["r1"],
};
const identity = { project: "default", rollout_id: "ro-1", group_id: "g-1", attempt_id: "at-1" };
const provenance = { topic: "spans", partition: 0, first_offset: 1, last_offset: 2 };

export function step(values: Partial<Records.StepRecorded> = {}): Tagged<"StepRecorded"> {
  const own = {
    step_index: 0,
    reward: 0.5,
    rewards: { style: 1 },
    ...chosen,
    revision: 0,
    provenance,
  };
  return { type: "StepRecorded", value: { ...identity, ...call, ...own, ...values } };
}

export function transition(
  values: Partial<Records.TransitionRecorded> = {},
): Tagged<"TransitionRecorded"> {
  const value: Records.TransitionRecorded = {
    ...identity,
    ...call,
    step_index: 0,
    step_count: 1,
    loss_mask: Uint8Array.from([1, 0]),
    reward: 0.5,
    rewards: {},
    ...chosen,
    rollout_reward: 0.5,
    return_value: 0.5,
    advantage: -1.25,
    weight: 1,
    credit,
    group_size: 2,
    group_members: 2,
    mode: "train",
    resources_id: "main",
    resources_version: 3,
    rollout_status: "succeeded",
    metadata: "{}",
    ended_at: at,
    revision: 0,
    provenance,
  };
  return { type: "TransitionRecorded", value: { ...value, ...values } };
}

export function callOmitted(values: Partial<Records.CallOmitted> = {}): Tagged<"CallOmitted"> {
  const value: Records.CallOmitted = {
    ...identity,
    span_id: "b7ad6b7169203332",
    agent: "judge",
    model: "room-1",
    reason: "not-selected",
    detail: "agent judge matches none of writer, critic",
    revision: 0,
    provenance,
  };
  return { type: "CallOmitted", value: { ...value, ...values } };
}

export function rolloutAssembled(
  values: Partial<Records.RolloutAssembled> = {},
): Tagged<"RolloutAssembled"> {
  const value: Records.RolloutAssembled = {
    project: "default",
    rollout_id: "ro-1",
    group_id: "g-1",
    group_size: 2,
    group_deadline_seconds: 60,
    attempt_id: "at-1",
    status: "succeeded",
    mode: "train",
    resources_id: "main",
    resources_version: 3,
    credit,
    selection: "{}",
    steps: 1,
    calls: 2,
    omitted: 1,
    spans: 4,
    reward: 0.5,
    rewards: {},
    invalid_rewards: 0,
    unmatched_rewards: 1,
    late_rewards: 2,
    grace_seconds: 5,
    revision: 1,
    enqueued_at: null,
    ended_at: at,
    metadata: "{}",
    provenance,
  };
  return { type: "RolloutAssembled", value: { ...value, ...values } };
}

export function groupClosed(values: Partial<Records.GroupClosed> = {}): Tagged<"GroupClosed"> {
  const value: Records.GroupClosed = {
    project: "default",
    group_id: "g-1",
    reason: "complete",
    group_size: 2,
    members: ["ro-1", "ro-2"],
    transitions: 2,
    withheld: 1,
    mode: "train",
    resources_id: "main",
    mean_reward: 0.5,
    std_reward: null,
    equal_rewards: true,
    min_policy_version: 3,
    max_policy_version: 3,
    credit,
    closed_at: at,
    revision: 0,
    replaces: 0,
  };
  return { type: "GroupClosed", value: { ...value, ...values } };
}

/** One record of each other kind that a table holds. */
export const others: readonly Tagged[] = [
  callOmitted(),
  {
    type: "CreditAssigned",
    value: {
      project: "default",
      group_id: "g-1",
      revision: 0,
      members: [{ rollout_id: "ro-1", advantages: [0.5, -0.5], returns: [] }],
    },
  },
  rolloutAssembled(),
  groupClosed(),
  {
    type: "ResourcesUpdated",
    value: {
      project: "default",
      resources_id: "main",
      version: 3,
      created_at: at,
      updated_at: at,
      resources: [
        { name: "policy", kind: "weights", json: "{}", blob: Uint8Array.from([0, 255, 128]) },
        { name: "prompt", kind: "prompt_template", json: '{"template":"{x}"}', blob: null },
      ],
      batch_id: "b-1",
      request_id: null,
    },
  },
  {
    type: "ProjectConfigured",
    value: {
      project: "default",
      version: 1,
      credit,
      selection: '{"repair":false}',
      group_deadline_seconds: 60,
      grace_seconds: 0,
      updated_at: at,
    },
  },
  {
    type: "BatchLeased",
    value: {
      project: "default",
      batch_id: "b-1",
      lease_id: "l-1",
      worker_id: "w-1",
      groups: ["g-1"],
      transitions: 2,
      tokens: 10,
      delivery: 1,
      policy_version: 3,
      max_staleness: 0,
      leased_at: at,
      expires_at: at + 60_000_000,
    },
  },
  {
    type: "BatchTrained",
    value: {
      project: "default",
      batch_id: "b-1",
      lease_id: "l-1",
      worker_id: "w-1",
      groups: ["g-1"],
      transitions: 2,
      delivery: 1,
      metrics: { loss: 0.1 },
      resources_id: "main",
      resources_version: 4,
      trained_at: at,
    },
  },
  {
    type: "BatchReturned",
    value: {
      project: "default",
      batch_id: "b-2",
      lease_id: "l-2",
      worker_id: "w-1",
      groups: [],
      transitions: 0,
      delivery: 1,
      reason: "expired",
      detail: null,
      returned_at: at,
    },
  },
  workerChanged(),
  {
    type: "DeadLettered",
    value: {
      reader: "clickhouse",
      topic: "spans",
      partition: 0,
      offset: 77,
      timestamp: at,
      key: Buffer.from("default/ro-1"),
      value: Buffer.from([0, 255, 1]),
      headers: { trace: Uint8Array.from([254]) },
      code: "record-malformed",
      reason: "first byte is 9",
      at,
    },
  },
];

/** A delivery of these records from partition 0, from `first` on. */
export function delivery(topic: string, records: readonly Tagged[], first = 0): Delivery {
  const delivered = records.map((record, i): Delivered => {
    return { record, key: "default/ro-1", offset: first + i, timestamp: 1_790_000_000_123 };
  });
  const lastOffset = first + records.length - 1;
  return { topic, partition: 0, firstOffset: first, lastOffset, records: delivered };
}
