import type { SpanRecorded } from "../../schemas/types.ts";
import { firstDifference } from "../rows/difference.ts";
import { listOf, objectOf } from "../traces/attributes.ts";
import { type Conversation, conversationsAsListed, conversationsOf } from "./messages.ts";
import type { RecordedAnswer, StatedRule } from "./stated-rules.ts";

/** A rule about one message. */
export type MessageRule = StatedRule & {
  /** Our message as it would be without the difference, beside the reference's. */
  undo(ours: Message, theirs: Message): Message;
};

type Message = Readonly<Record<string, unknown>>;

/** What `TraceToMessages` of the reference loses and ours keeps. */
const messageRules: readonly MessageRule[] = [
  {
    name: "H8 text beside tool calls",
    reason: "the reference drops what an assistant said beside its tool calls in the history",
    undo: (ours, theirs) =>
      "tool_calls" in theirs && "tool_calls" in ours && theirs.content === null
        ? { ...ours, content: null }
        : ours,
  },
  {
    name: "tool calls of the answer",
    reason:
      "the reference reads an answer's tool calls from child spans alone and drops those written on the call itself",
    undo(ours, theirs) {
      const { tool_calls: _, ...rest } = ours;
      return "tool_calls" in theirs ? ours : rest;
    },
  },
];

const listOrder: StatedRule = {
  name: "order of the list",
  reason:
    "the reference has conversations as their spans are listed, copies twice; ours once, as they happened",
};

/**
 * The rules by which our conversations differ from the reference's, or null when they explain it not:
 * without the differences they state, ours must be exactly the recorded answer.
 */
export function messageDeviation(
  spans: readonly SpanRecorded[],
  recorded: RecordedAnswer,
): readonly StatedRule[] | null {
  if ("error" in recorded) return null;
  const ours = rulesBetween(conversationsOf(spans), recorded.value);
  if (ours !== null) return ours;
  const listed = rulesBetween(conversationsAsListed(spans), recorded.value);
  return listed === null ? null : [listOrder, ...listed];
}

function rulesBetween(ours: readonly Conversation[], expected: unknown): MessageRule[] | null {
  const met = new Set<MessageRule>();
  const printed: unknown = JSON.parse(JSON.stringify(ours));
  const undone = listOf(printed).map((conversation, i) => {
    const theirs = listOf(objectOf(listOf(expected)[i])?.messages);
    const messages = listOf(objectOf(conversation)?.messages).map((message, j) =>
      undoAll(message, theirs[j], met),
    );
    return { ...objectOf(conversation), messages };
  });
  if (firstDifference(undone, expected) !== null) return null;
  return messageRules.filter((rule) => met.has(rule));
}

function undoAll(ours: unknown, theirs: unknown, met: Set<MessageRule>): unknown {
  let message = objectOf(ours);
  const other = objectOf(theirs);
  if (message === null || other === null) return ours;
  for (const rule of messageRules) {
    const before = JSON.stringify(message);
    message = rule.undo(message, other);
    if (JSON.stringify(message) !== before) met.add(rule);
  }
  return message;
}
