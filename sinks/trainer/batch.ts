import { unpackFloat32, unpackInt32 } from "../../schemas/bytes.ts";
import type { TransitionRecorded } from "../../schemas/types.ts";
import type { Leased } from "./leases.ts";
import { rowsOfGroup } from "./ledger.ts";

/** A group in a batch; `rows` is the range of its rows, end exclusive. */
export type BatchGroup = {
  readonly group_id: string;
  readonly rows: readonly [number, number];
  /** The how-manieth time it is given out. */
  readonly delivery: number;
  /** `complete`, or `deadline` when members were missing. */
  readonly reason: string;
  readonly group_size: number;
  readonly members: readonly string[];
  readonly mean_reward: number | null;
  readonly std_reward: number | null;
  readonly equal_rewards: boolean;
  readonly min_policy_version: number | null;
  readonly max_policy_version: number | null;
  readonly revision: number;
  /** Resource its rows train; empty when no selection routed its agents. */
  readonly policy: string;
};

/** What is said of a row besides its numbers; the last three only when text was asked for. */
export type BatchRowFields = {
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly step_index: number;
  readonly step_count: number;
  readonly span_id: string;
  readonly trace_id: string;
  readonly agent: string;
  readonly model: string;
  readonly finish_reason: string | null;
  readonly rollout_status: string;
  readonly resources_id: string | null;
  readonly resources_version: number | null;
  /** Rewards by dimension. */
  readonly rewards: Readonly<Record<string, number>>;
  /** OpenAI messages, as JSON text. */
  readonly messages?: string;
  readonly completion?: string;
  readonly tools?: string | null;
};

/** What is said of a batch besides its numbers. */
export type BatchHeader = {
  readonly format: 1;
  readonly batch_id: string;
  readonly lease_id: string;
  readonly project: string;
  readonly worker_id: string;
  readonly delivery: number;
  readonly policy_version: number | null;
  readonly max_staleness: number | null;
  /** Length of the lease; what to time an extension by, whatever the clocks say. */
  readonly lease_seconds: number;
  /** ISO 8601, by the trainer's clock. */
  readonly expires_at: string;
  readonly transitions: number;
  readonly tokens: number;
  readonly groups: readonly BatchGroup[];
  readonly rows: readonly BatchRowFields[];
};

/** Rows of a batch in their order, each with the index of its group. */
export function rowsOf({ groups }: Leased): IndexedRow[] {
  return groups.flatMap(({ group }, index) =>
    rowsOfGroup(group).map((row) => ({ row, group: index })),
  );
}

/** A row with the index of its group. */
export type IndexedRow = { readonly row: TransitionRecorded; readonly group: number };

/** @param rows of {@link rowsOf}. */
export function headerOf(
  leased: Leased,
  rows: readonly IndexedRow[],
  leaseSeconds: number,
  text: boolean,
): BatchHeader {
  const { batch } = leased;
  return {
    format: 1,
    batch_id: batch.batch_id,
    lease_id: batch.lease_id,
    project: batch.project,
    worker_id: batch.worker_id,
    delivery: batch.delivery,
    policy_version: batch.policy_version,
    max_staleness: batch.max_staleness,
    lease_seconds: leaseSeconds,
    expires_at: new Date(batch.expires_at / 1000).toISOString(),
    transitions: batch.transitions,
    tokens: batch.tokens,
    groups: groupsOf(leased),
    rows: rows.map(({ row }) => rowFields(row, text)),
  };
}

function groupsOf({ groups }: Leased): BatchGroup[] {
  let from = 0;
  return groups.map(({ group, delivery }) => {
    const { closed, size, policy } = group;
    const range = [from, from + size] as const;
    from += size;
    return {
      group_id: closed.group_id,
      rows: range,
      delivery,
      reason: closed.reason,
      group_size: closed.group_size,
      members: closed.members,
      mean_reward: closed.mean_reward,
      std_reward: closed.std_reward,
      equal_rewards: closed.equal_rewards,
      min_policy_version: group.oldestVersion,
      max_policy_version: group.newestVersion,
      revision: closed.revision,
      policy,
    };
  });
}

function rowFields(row: TransitionRecorded, text: boolean): BatchRowFields {
  const { messages, completion, tools } = row;
  return {
    rollout_id: row.rollout_id,
    attempt_id: row.attempt_id,
    step_index: row.step_index,
    step_count: row.step_count,
    span_id: row.span_id,
    trace_id: row.trace_id,
    agent: row.agent,
    model: row.model,
    finish_reason: row.finish_reason,
    rollout_status: row.rollout_status,
    resources_id: row.resources_id,
    resources_version: row.resources_version,
    rewards: row.rewards,
    ...(text ? { messages, completion, tools } : {}),
  };
}

/** The batch as people read it: rows with plain lists; null where a number is unknown. */
export function readableBatch(leased: Leased, leaseSeconds: number, text: boolean) {
  const rows = rowsOf(leased);
  const { rows: _, ...about } = headerOf(leased, rows, leaseSeconds, text);
  return {
    ...about,
    rows: rows.map(({ row, group }) => ({
      ...rowFields(row, text),
      group_index: group,
      prompt_ids: [...unpackInt32(row.prompt_ids)],
      response_ids: [...unpackInt32(row.response_ids)],
      logprobs: row.logprobs.length === 0 ? null : [...unpackFloat32(row.logprobs)],
      loss_mask:
        row.loss_mask.length === 0
          ? Array.from({ length: row.response_ids.length / 4 }, () => 1)
          : [...row.loss_mask],
      advantage: row.advantage,
      return: row.return_value,
      weight: row.weight,
      reward: row.reward,
      rollout_reward: row.rollout_reward,
      policy_version: row.policy_version,
    })),
  };
}
