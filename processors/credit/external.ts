import type { Strategy } from "./strategy.ts";

/**
 * Credit by a processor of the user's own, in any language: A and G are what it answers. At the
 * group's closing a `CreditRequested` goes to topic `credit-requests`; a `CreditAssigned` in `steps`
 * under the same key, with the revision asked for and one finite advantage (and return) per step of
 * every member, is written as transitions. After `deadline_seconds` without a valid one the strategy
 * named by `fallback`, with those of its parameters and options that are given, is used instead, and
 * at once when the group is too large for one record. Each row's `credit.options.used` says which it
 * was: external or fallback.
 */
export function externalOf(others: readonly Strategy[]): Strategy {
  const fallback = ({ fallback: name }: Readonly<Record<string, string>>) =>
    others.find((strategy) => strategy.name === name);
  return {
    name: "external",
    doc: "what a processor of yours answers through the log, with a deadline and a fallback",
    parameters: {
      deadline_seconds: {
        default: 60,
        min: 0,
        max: 86_400,
        doc: "How long an answer is waited for, log time in s.",
      },
    },
    options: {
      fallback: {
        default: "group-relative",
        allowed: others.map(({ name }) => name),
        doc: "The strategy used when no valid answer came in time.",
      },
    },
    needsGroup: () => false,
    fallback,
    assign: (members, parameters, options) =>
      fallback(options)?.assign(members, parameters, options) ?? [],
  };
}
