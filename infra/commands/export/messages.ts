import {
  type Conversation,
  conversationOf,
  messagesSql,
  toolsColumn,
  wholeConversations,
} from "./conversation.ts";
import { byRollout, type Column, type ExportRecord, type Kind, type Shape } from "./kind.ts";

const columns: readonly Column[] = [
  { name: "messages", sql: messagesSql, doc: "the prompt's messages and, last, the completion" },
  toolsColumn,
];

const provenance: readonly Column[] = [
  { name: "rollout_id", sql: "String", doc: "--provenance: the rollout" },
  { name: "step_index", sql: "Int32", doc: "--provenance: the step, from 0" },
  { name: "agent", sql: "String", doc: "--provenance: name of the agent" },
  { name: "policy", sql: "String", doc: "--provenance: resource it trains" },
  { name: "policy_version", sql: "Nullable(Int64)", doc: "--provenance: what generated it" },
  { name: "rollout_reward", sql: "Nullable(Float64)", doc: "--provenance: final reward" },
  { name: "advantage", sql: "Float64", doc: "--provenance: advantage" },
];

const columnsOf = (shape: Shape): readonly Column[] =>
  shape.provenance ? [...columns, ...provenance] : columns;

/** OpenAI messages for supervised fine-tuning. */
export const messagesKind: Kind = {
  doc: "OpenAI messages with tools, for supervised fine-tuning; filter with --min-reward",
  columns: columnsOf,
  recordsOf(group, shape) {
    const skipped: Record<string, number> = {};
    const skip = (reason: string, count = 1): void => {
      skipped[reason] = (skipped[reason] ?? 0) + count;
    };
    const records = byRollout(group).flatMap((rollout) => {
      const all = rollout.flatMap((transition) => {
        const read = conversationOf(transition);
        if (typeof read !== "string") return read;
        skip(read);
        return [];
      });
      const kept = shape.level === "trajectory" ? wholeConversations(all) : all;
      skip("continued-later", all.length - kept.length);
      return kept.map((conversation) => recordOf(conversation, columnsOf(shape)));
    });
    return { records, skipped };
  },
};

function recordOf(conversation: Conversation, wanted: readonly Column[]): ExportRecord {
  const { messages, tools, transition } = conversation;
  const values: ExportRecord = { ...transition, messages, tools: tools ?? undefined };
  return Object.fromEntries(wanted.map(({ name }) => [name, values[name]]));
}
