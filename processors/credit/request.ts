import { LightningError } from "../../schemas/errors.ts";
import type { Tagged } from "../../schemas/records.ts";
import { splitKey } from "../../schemas/topics.ts";
import type { CreditAssigned, CreditMember, StepRecorded } from "../../schemas/types.ts";
import { strategyOf } from "./registry.ts";
import { creditOf, inOrder, samplesOf, type WholeMember } from "./sampling.ts";
import type { Assigned } from "./strategy.ts";

/** Largest texts of a request, bytes: a record takes twice that. */
const longestRequest = 8 * 1024 * 1024;

/** A question to an external strategy, and until when its answer is waited for. */
export type Asked = {
  readonly record: Tagged<"CreditRequested">;
  /** Log time, ms. */
  readonly deadline: number;
};

/**
 * What is asked of an external strategy when a group closes at `at` (log time, ms); null when the
 * group has another strategy, nobody to credit, or is too large for one record.
 */
export function requestOf(members: readonly WholeMember[], key: string, at: number): Asked | null {
  const ordered = inOrder(members);
  const credit = creditOf(ordered);
  const { strategy, parameters, options } = strategyOf(credit);
  if (strategy.fallback === undefined) return null;
  const asked = samplesOf(ordered, options).samples.map(memberOfRequest);
  if (asked.length === 0 || bytesOf(asked) > longestRequest) return null;
  const { project, id } = splitKey(key);
  const deadline = deadlineOf(at, parameters);
  const value = {
    project,
    group_id: id,
    revision: revisionOf(members),
    credit: { strategy: strategy.name, parameters, options },
    deadline: deadline * 1000,
    members: asked,
  };
  return { record: { type: "CreditRequested", value }, deadline };
}

function deadlineOf(at: number, { deadline_seconds = 60 }: Readonly<Record<string, number>>) {
  return at + Math.round(deadline_seconds * 1000);
}

/**
 * Which state of the group is asked about: it grows with every revision of a member, while the
 * revision of the rows only counts what was written.
 */
function revisionOf(members: readonly WholeMember[]): number {
  return members.reduce((sum, { rollout }) => sum + rollout.revision, 0);
}

/**
 * The answer in the order of the samples. Null when it is about an earlier state of the group; throws
 * `record-invalid` naming the field when it is no answer to what was asked.
 */
export function answerOf(
  members: readonly WholeMember[],
  answer: CreditAssigned,
): readonly Assigned[] | null {
  const ordered = inOrder(members);
  const revision = revisionOf(ordered);
  if (answer.revision < revision) return null;
  if (answer.revision > revision) {
    throw invalid(`revision: read ${answer.revision}, asked was ${revision}`);
  }
  const { samples } = samplesOf(ordered, strategyOf(creditOf(ordered)).options);
  const given = new Map(answer.members.map((member, i) => [member.rollout_id, { member, i }]));
  const asked = new Set(samples.map(({ rollout }) => rollout.rollout_id));
  for (const { rollout_id } of answer.members) {
    if (!asked.has(rollout_id)) throw invalid(`members: ${rollout_id} was not asked for`);
  }
  if (given.size < answer.members.length) throw invalid("members: a rollout is there twice");
  return samples.map(({ rollout, steps }) => {
    const found = given.get(rollout.rollout_id);
    if (found === undefined) throw invalid(`members: ${rollout.rollout_id} is missing`);
    const { member, i } = found;
    checkNumbers(`members[${i}].advantages`, member.advantages, steps);
    if (member.returns.length > 0) checkNumbers(`members[${i}].returns`, member.returns, steps);
    const returns = member.returns.length > 0 ? member.returns : member.advantages;
    return { returns, advantages: member.advantages };
  });
}

function checkNumbers(
  field: string,
  values: readonly number[],
  steps: readonly StepRecorded[],
): void {
  if (values.length !== steps.length) {
    throw invalid(`${field}: read ${values.length} numbers, must be ${steps.length}, one per step`);
  }
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw invalid(`${field}[${wrong}]: read ${values[wrong]}, must be a finite number`);
  }
}

function memberOfRequest({ rollout, steps }: WholeMember): CreditMember {
  return {
    rollout_id: rollout.rollout_id,
    reward: rollout.reward,
    status: rollout.status,
    metadata: rollout.metadata,
    steps: steps.map((step) => ({
      step_index: step.step_index,
      span_id: step.span_id,
      agent: step.agent,
      policy: step.policy,
      messages: step.messages,
      completion: step.completion,
      response_tokens:
        step.response_ids.length > 0 ? step.response_ids.length / 4 : step.completion_tokens,
      reward: step.reward,
      rewards: step.rewards,
    })),
  };
}

function bytesOf(members: readonly CreditMember[]): number {
  let bytes = 0;
  for (const { metadata, steps } of members) {
    bytes += 200 + Buffer.byteLength(metadata);
    for (const { messages, completion } of steps) {
      bytes += 200 + Buffer.byteLength(messages) + Buffer.byteLength(completion);
    }
  }
  return bytes;
}

function invalid(message: string): LightningError {
  return new LightningError("record-invalid", message);
}
