import assert from "node:assert/strict";
import { packFloat32, packInt32 } from "../../schemas/bytes.ts";
import { codeOf, type ErrorCode } from "../../schemas/errors.ts";
import type { Tagged } from "../../schemas/records.ts";
import type { GroupClosed, TransitionRecorded } from "../../schemas/types.ts";
import { type DrivenPartition, drivePartition } from "./drive.ts";
import { type Leased, type LeaseRequest, lease } from "./leases.ts";
import { type LedgerSettings, take } from "./ledger.ts";

const credit = { strategy: "group-relative", parameters: {}, options: {} };

/** A valid row with what a test says of it; three prompt tokens and two response tokens. */
export function transition(fields: Partial<TransitionRecorded> = {}): Tagged<"TransitionRecorded"> {
  const value: TransitionRecorded = {
    project: "default",
    rollout_id: "r0",
    group_id: "g0",
    attempt_id: "a0",
    step_index: 0,
    step_count: 1,
    span_id: "s0",
    trace_id: "t0",
    response_id: null,
    agent: "",
    model: "m",
    policy_version: null,
    messages: "[]",
    completion: "{}",
    tools: null,
    prompt_ids: packInt32([1, 2, 3]),
    response_ids: packInt32([7, 8]),
    logprobs: packFloat32([-0.5, -0.25]),
    finish_reason: "stop",
    prompt_tokens: 3,
    completion_tokens: 2,
    start_time: 0,
    end_time: 0,
    loss_mask: Buffer.alloc(0),
    reward: null,
    rewards: {},
    policy: "",
    choice: 0,
    state_id: null,
    potential: null,
    temperature: null,
    top_p: null,
    reward_spans: [],
    rollout_reward: 1,
    return_value: 1,
    advantage: 0.5,
    weight: 1,
    credit,
    group_size: 1,
    group_members: 1,
    mode: "train",
    resources_id: null,
    resources_version: null,
    rollout_status: "succeeded",
    metadata: "{}",
    ended_at: 0,
    revision: 0,
    provenance: { topic: "spans", partition: 0, first_offset: 0, last_offset: 0 },
    ...fields,
  };
  return { type: "TransitionRecorded", value };
}

/** The closing record of a group of one member. */
export function groupClosed(fields: Partial<GroupClosed> = {}): Tagged<"GroupClosed"> {
  const value: GroupClosed = {
    project: "default",
    group_id: "g0",
    reason: "complete",
    group_size: 1,
    members: ["r0"],
    transitions: 1,
    withheld: 0,
    mode: "train",
    resources_id: null,
    mean_reward: 1,
    std_reward: null,
    equal_rewards: false,
    min_policy_version: null,
    max_policy_version: null,
    credit,
    closed_at: 0,
    revision: 0,
    replaces: -1,
    ...fields,
  };
  return { type: "GroupClosed", value };
}

/** A whole group of `size` rows, rows first. */
export function group(
  groupId: string,
  size: number,
  closed: Partial<GroupClosed> = {},
  row: Partial<TransitionRecorded> = {},
): (Tagged<"TransitionRecorded"> | Tagged<"GroupClosed">)[] {
  const { project = "default", revision = 0 } = closed;
  const about = { group_id: groupId, project, revision };
  const rows = Array.from({ length: size }, (_, i) =>
    transition({ ...about, rollout_id: `${groupId}-r${i}`, span_id: `s${i}`, ...row }),
  );
  return [...rows, groupClosed({ ...about, transitions: size, ...closed })];
}

/** A lease request that wants everything; times in ms. */
export function leaseRequest(about: Partial<LeaseRequest> = {}): LeaseRequest {
  return {
    now: 1000,
    workerId: "w",
    project: "default",
    mode: "train",
    policy: null,
    maxSamples: null,
    maxTokens: null,
    minSamples: 1,
    maxStaleness: null,
    equalRewards: "include",
    leaseSeconds: 10,
    newestVersion: () => null,
    ...about,
  };
}

/** Partition 3 with whole groups g0, g1, … of the given numbers of rows. */
export async function withGroups(
  sizes: readonly number[],
  settings?: LedgerSettings,
): Promise<DrivenPartition> {
  const partition = await drivePartition(3, settings);
  for (const [i, size] of sizes.entries()) partition.append(group(`g${i}`, size));
  partition.feed();
  return partition;
}

/** Leases, and fails when there is nothing. */
export function give({ ledger }: DrivenPartition, about: Partial<LeaseRequest> = {}): Leased {
  const leased = lease(ledger, leaseRequest(about));
  assert.ok(leased, "nothing was leased");
  return leased;
}

export function refuses(code: ErrorCode, work: () => unknown): void {
  assert.throws(work, (error) => codeOf(error) === code);
}

/** Group and reason of what came back since the last effect. */
export function returned(partition: DrivenPartition): string[] {
  return take(partition.ledger).records.flatMap((one) =>
    one.type === "BatchReturned" ? [`${one.value.groups} ${one.value.reason}`] : [],
  );
}
