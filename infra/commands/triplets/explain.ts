import type { TracerOmission } from "../../../processors/adapters/find-calls.ts";
import type { TracerCall, TracerTrace } from "../../../processors/adapters/tracer.ts";
import { readCall } from "../../../processors/traces/calls.ts";
import { preOrder, type TraceNode } from "../../../processors/traces/tree.ts";
import type { SpanKept, SpanRecorded } from "../../../schemas/types.ts";
import { printable } from "../table.ts";

/** Levels that are drawn further to the right each; deeper ones stand below one another. */
const drawnLevels = 40;

/**
 * A trace for people, as lines: the tree as it was repaired; per LLM call its triplet or why it has
 * none, and its reward; per reward where it went; and how many of each. Linear in spans.
 */
export function explainTrace(trace: TracerTrace, spans: readonly SpanRecorded[]): string[] {
  const whole = { ...trace, omitted: [...trace.omitted, ...otherCalls(trace, spans)] };
  return [...treeLines(trace.root, factsOf(whole)), "", ...summary(whole)];
}

/** Calls of a known convention whose names were not asked for. */
function otherCalls(
  { calls, omitted }: TracerTrace,
  spans: readonly SpanRecorded[],
): readonly TracerOmission[] {
  const named = new Set([...calls, ...omitted].map(({ span }) => span.span_id));
  const detail = "its name is not one that llm_call_match (calls) asks for";
  return spans
    .filter((span) => !named.has(span.span_id) && readCall(span) !== null)
    .map((span) => ({ span, agent: "", reason: "not-a-wanted-call", detail }));
}

type Numbered = { readonly index: number; readonly call: TracerCall };

/** By span id. */
type Facts = {
  readonly calls: ReadonlyMap<string, readonly Numbered[]>;
  readonly omitted: ReadonlyMap<string, TracerOmission>;
  /** Triplets that a reward went to. */
  readonly given: ReadonlyMap<string, readonly Numbered[]>;
};

function factsOf({ calls, omitted }: TracerTrace): Facts {
  const bySpan = new Map<string, Numbered[]>();
  const given = new Map<string, Numbered[]>();
  for (const [index, call] of calls.entries()) {
    listed(bySpan, call.span.span_id).push({ index, call });
    for (const { span_id } of call.rewardSpans) listed(given, span_id).push({ index, call });
  }
  return {
    calls: bySpan,
    omitted: new Map(omitted.map((one) => [one.span.span_id, one])),
    given,
  };
}

function listed<T>(lists: Map<string, T[]>, key: string): T[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

type Drawn = {
  readonly node: TraceNode;
  readonly level: number;
  readonly indent: string;
  readonly last: boolean;
};

function treeLines(root: TraceNode, facts: Facts): string[] {
  const lines: string[] = [];
  const waiting: Drawn[] = [{ node: root, level: 0, indent: "", last: true }];
  for (let drawn = waiting.pop(); drawn !== undefined; drawn = waiting.pop()) {
    const { node, level, indent, last } = drawn;
    const corner = level === 0 ? "" : last ? "└─ " : "├─ ";
    lines.push(`${indent}${corner}${textOf(node, facts)}`);
    const deeper = level > 0 && level < drawnLevels;
    const below = deeper ? `${indent}${last ? "   " : "│  "}` : indent;
    for (let i = node.children.length - 1; i >= 0; i--) {
      const child = node.children[i];
      if (child === undefined) continue;
      const isLast = i === node.children.length - 1;
      waiting.push({ node: child, level: level + 1, indent: below, last: isLast });
    }
  }
  return lines;
}

function textOf({ id, name, span, moved }: TraceNode, facts: Facts): string {
  const said = span === null ? ["(was not sent)"] : factsOfSpan(span, facts);
  const parts = [...said, ...(moved ? ["(put here by its times)"] : [])];
  return printable([`${name} ${id}`, ...parts].join("  "));
}

function factsOfSpan(span: SpanKept, facts: Facts): string[] {
  const { agent, tool, reward, reward_scope, invalid_reward } = span;
  const call = callText(span, facts);
  return [
    ...(agent === null ? [] : [`agent ${agent}`]),
    ...(call === null ? [] : [call]),
    ...(tool === null ? [] : ["tool call"]),
    ...(reward === null ? [] : [rewardText(span, reward, facts)]),
    ...(reward_scope ? ["computes a reward"] : []),
    ...(invalid_reward ? ["a reward in it is no finite number"] : []),
  ];
}

/** Null: the span is no LLM call. */
function callText({ span_id, call }: SpanKept, { calls, omitted }: Facts): string | null {
  const triplets = calls.get(span_id);
  if (triplets !== undefined) return `call → ${triplets.map(tripletText).join(", ")}`;
  const omission = omitted.get(span_id);
  if (omission === undefined) return call === null ? null : "call";
  return `call → no triplet: ${omission.reason}: ${omission.detail}`;
}

function tripletText({ index, call }: Numbered): string {
  const { agent_name, policy, response_id } = call.triplet.metadata;
  const { reward } = call.triplet;
  const spans = call.rewardSpans.map(({ span_id }) => span_id).join(", ");
  const from = spans === "" ? "" : ` of ${spans}`;
  const facts = [
    ...(response_id === null ? [] : [`response ${response_id}`]),
    `agent ${agent_name}`,
    ...(policy === undefined ? [] : [`policy ${policy}`]),
    reward === null ? "no reward" : `reward ${reward}${from}`,
  ];
  return `triplet ${index} (${facts.join(", ")})`;
}

function rewardText({ span_id, rewards }: SpanKept, reward: number, { given }: Facts): string {
  const dimensions = Object.entries(rewards).map(([name, value]) => `${name} ${value}`);
  const all = dimensions.length === 0 ? "" : ` (${dimensions.join(", ")})`;
  const indexes = given.get(span_id)?.map(({ index }) => index) ?? [];
  return `reward ${reward}${all} → ${indexes.length === 0 ? "no call" : `triplet ${indexes.join(", ")}`}`;
}

function summary({ root, calls, omitted, unmatched }: TracerTrace): string[] {
  const spans = preOrder(root).flatMap(({ span }) => (span === null ? [] : [span]));
  const rewards = spans.filter(({ reward }) => reward !== null).length;
  const found = `${count(spans.length, "span")}, ${count(calls.length, "triplet")}`;
  const given = `${count(rewards, "reward")}${rewards === 0 ? "" : `, ${unmatched.length} without a call`}`;
  const reasons = new Map<string, number>();
  for (const { reason } of omitted) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const named = [...reasons].map(([reason, times]) => `${times} × ${reason}`).join(", ");
  const others = omitted.length === 0 ? [] : [`calls without a triplet: ${named}`];
  return [`${found}, ${given}`, ...others];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
