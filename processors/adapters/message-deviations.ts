import { listOf, objectOf } from "../traces/attributes.ts";

/** A stated way in which our conversations differ from the reference's. */
export type MessageRule = {
  /** A short name, with the number of the reference's defect where it has one. */
  readonly name: string;
  /** Why ours is right, for people. */
  readonly reason: string;
  /** Our message as it would be without the difference, beside the reference's. */
  undo(ours: Message, theirs: Message): Message;
};

type Message = Readonly<Record<string, unknown>>;

/** What `TraceToMessages` of the reference loses and ours keeps. */
export const messageRules: readonly MessageRule[] = [
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

/**
 * Our conversations without the differences the rules state, and the rules that made one: what is
 * left must equal the reference's answer.
 */
export function withoutMessageDeviations(
  actual: unknown,
  expected: unknown,
): { readonly actual: unknown; readonly rules: readonly MessageRule[] } {
  const met = new Set<MessageRule>();
  const undone = listOf(actual).map((conversation, i) => {
    const theirs = listOf(objectOf(listOf(expected)[i])?.messages);
    const messages = listOf(objectOf(conversation)?.messages).map((message, j) =>
      undoAll(message, theirs[j], met),
    );
    return { ...objectOf(conversation), messages };
  });
  return { actual: undone, rules: messageRules.filter((rule) => met.has(rule)) };
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
