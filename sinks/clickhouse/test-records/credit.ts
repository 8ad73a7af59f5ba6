import { packFloat32, packInt32 } from "../../../schemas/bytes.ts";
import type { Tagged } from "../../../schemas/records.ts";
import type * as Records from "../../../schemas/types.ts";
import { at, credit } from "./settings.ts";

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
