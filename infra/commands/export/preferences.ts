import type { TransitionRecorded } from "../../../schemas/types.ts";
import {
  type Conversation,
  conversationOf,
  messagesSql,
  textOf,
  toolsColumn,
} from "./conversation.ts";
import { byRollout, type Column, type ExportRecord, type Kind, type Shape } from "./kind.ts";

const columns: readonly Column[] = [
  { name: "prompt", sql: messagesSql, doc: "messages that both rollouts begin with" },
  { name: "chosen", sql: messagesSql, doc: "how the better one goes on" },
  { name: "rejected", sql: messagesSql, doc: "how the worse one goes on" },
  toolsColumn,
  { name: "score_chosen", sql: "Float64", doc: "final reward of the better one" },
  { name: "score_rejected", sql: "Float64", doc: "final reward of the worse one" },
];

const provenance: readonly Column[] = [
  { name: "group_id", sql: "String", doc: "--provenance: the group of both" },
  { name: "chosen_rollout_id", sql: "String", doc: "--provenance: the better rollout" },
  { name: "rejected_rollout_id", sql: "String", doc: "--provenance: the worse rollout" },
  { name: "chosen_policy_version", sql: "Nullable(Int64)", doc: "--provenance" },
  { name: "rejected_policy_version", sql: "Nullable(Int64)", doc: "--provenance" },
];

const columnsOf = (shape: Shape): readonly Column[] =>
  shape.provenance ? [...columns, ...provenance] : columns;

/** Pairs of rollouts of one task, for preference learning (DPO). */
export const preferencesKind: Kind = {
  doc: "prompt, chosen and rejected messages from the rollouts of a group, for DPO",
  columns: columnsOf,
  recordsOf(group, shape) {
    const skipped: Record<string, number> = {};
    const skip = (reason: string): void => {
      skipped[reason] = (skipped[reason] ?? 0) + 1;
    };
    const ranked = byRollout(group)
      .flatMap((rollout) => candidateOf(rollout, skip))
      .sort((a, b) => b.reward - a.reward);
    const records: ExportRecord[] = [];
    const most = Math.min(shape.pairs, Math.floor(ranked.length / 2));
    if (ranked.length < 2) skip("no-second-rollout");
    for (let i = 0; i < most; i++) {
      const [better, worse] = [ranked[i], ranked[ranked.length - 1 - i]];
      if (better === undefined || worse === undefined) break;
      const pair =
        better.reward - worse.reward < shape.margin ? "rewards-too-close" : pairOf(better, worse);
      if (typeof pair === "string") skip(pair);
      else records.push(pick(pair, columnsOf(shape)));
    }
    return { records, skipped };
  },
};

type Candidate = { readonly conversation: Conversation; readonly reward: number };

/** The last call of a rollout saw all that came before it. */
function candidateOf(
  rollout: readonly TransitionRecorded[],
  skip: (reason: string) => void,
): Candidate[] {
  const last = rollout.at(-1);
  if (last === undefined) return [];
  const conversation = conversationOf(last);
  const reason =
    last.rollout_reward === null
      ? "no-reward"
      : typeof conversation === "string"
        ? conversation
        : null;
  if (reason !== null) skip(reason);
  return last.rollout_reward === null || typeof conversation === "string"
    ? []
    : [{ conversation, reward: last.rollout_reward }];
}

function pairOf(better: Candidate, worse: Candidate): ExportRecord | string {
  const [a, b] = [better.conversation.messages, worse.conversation.messages];
  let shared = 0;
  const most = Math.min(a.length, b.length);
  const same = (i: number): boolean => {
    const [left, right] = [a[i], b[i]];
    return left !== undefined && right !== undefined && textOf(left) === textOf(right);
  };
  while (shared < most && same(shared)) shared++;
  if (shared === a.length && shared === b.length) return "same-conversation";
  // A preference is about what the model says: what it was shown differently is no choice of its.
  const speaks = (i: number): boolean => a[i]?.role === "assistant" && b[i]?.role === "assistant";
  if (shared < most && !speaks(shared)) return "shown-different-messages";
  while (shared > 0 && !speaks(shared)) shared--;
  if (shared === 0) return "no-common-prompt";
  return {
    prompt: a.slice(0, shared),
    chosen: a.slice(shared),
    rejected: b.slice(shared),
    tools: better.conversation.tools ?? undefined,
    score_chosen: better.reward,
    score_rejected: worse.reward,
    group_id: better.conversation.transition.group_id,
    chosen_rollout_id: better.conversation.transition.rollout_id,
    rejected_rollout_id: worse.conversation.transition.rollout_id,
    chosen_policy_version: better.conversation.transition.policy_version,
    rejected_policy_version: worse.conversation.transition.policy_version,
  };
}

function pick(values: ExportRecord, wanted: readonly Column[]): ExportRecord {
  return Object.fromEntries(wanted.map(({ name }) => [name, values[name]]));
}
