import type { Call, SpanKept } from "../../schemas/types.ts";
import { parsed } from "./attributes.ts";

/** A call that counts, with what its place in the tree says about it. */
export type SelectedCall = {
  readonly span: SpanKept;
  readonly call: Call;
  /** Nearest agent above it; empty when there is none. */
  readonly agent: string;
};

type Surroundings = {
  readonly agent: string | null;
  readonly inReward: boolean;
  readonly inCall: boolean;
};

const outside: Surroundings = { agent: null, inReward: false, inCall: false };

/**
 * The calls of an attempt that become steps (reference/v0.3-behaviour.md, 3.4): not a judge's, and
 * each once. The same call is often seen by several instruments (client, framework, proxy): of those
 * with one response id the one that knows most is taken; one without an id inside another call is
 * that call. Linear in spans; the result does not depend on their order.
 */
export function selectCalls(attempt: readonly SpanKept[]): SelectedCall[] {
  // Only parents in a circle are read differently in another order; even they shall not be.
  const spans = attempt.toSorted((a, b) => (a.span_id < b.span_id ? -1 : 1));
  const surroundings = surroundingsOf(spans);
  const toolsOf = toolCallsByParent(spans);
  const chosen = new Map<string, SelectedCall>();
  for (const span of spans) {
    const around = surroundings.get(span.span_id) ?? outside;
    if (span.call === null || around.inReward) continue;
    const { response_id } = span.call;
    if (response_id === null && around.inCall) continue;
    const call = withToolCalls(span.call, toolsOf.get(span.span_id) ?? []);
    const candidate = { span, call, agent: around.agent ?? "" };
    const id = response_id === null ? `span ${span.span_id}` : `response ${response_id}`;
    const rival = chosen.get(id);
    chosen.set(id, rival === undefined ? candidate : better(rival, candidate));
  }
  return [...chosen.values()];
}

/** The one that knows more of the two; on a tie the earlier one. The agent's name is kept from either. */
function better(a: SelectedCall, b: SelectedCall): SelectedCall {
  const [winner, loser] = compare(a, b) <= 0 ? [a, b] : [b, a];
  return winner.agent === "" ? { ...winner, agent: loser.agent } : winner;
}

function compare(a: SelectedCall, b: SelectedCall): number {
  return (
    knowledge(b.call) - knowledge(a.call) ||
    a.span.start_time - b.span.start_time ||
    (a.span.span_id < b.span.span_id ? -1 : 1)
  );
}

function knowledge(call: Call): number {
  const flags = [
    call.response_ids.length > 0,
    call.prompt_ids.length > 0,
    call.logprobs.length > 0,
    call.policy_version !== null,
    call.messages !== "[]",
  ];
  return flags.reduce((sum, flag, i) => sum + (flag ? 2 ** (flags.length - i) : 0), 0);
}

/** What lies above each span. Parents that never came end the way up, as do parents in a circle. */
function surroundingsOf(spans: readonly SpanKept[]): Map<string, Surroundings> {
  const bySpan = new Map(spans.map((span) => [span.span_id, span]));
  const known = new Map<string, Surroundings>();
  for (const start of spans) {
    const path: SpanKept[] = [];
    let span: SpanKept | undefined = start;
    while (span !== undefined && !known.has(span.span_id)) {
      known.set(span.span_id, outside);
      path.push(span);
      span = span.parent_id === null ? undefined : bySpan.get(span.parent_id);
    }
    let above = span === undefined ? outside : below(span, known.get(span.span_id) ?? outside);
    for (const next of path.reverse()) {
      known.set(next.span_id, above);
      above = below(next, above);
    }
  }
  return known;
}

function below(span: SpanKept, around: Surroundings): Surroundings {
  return {
    agent: span.agent ?? around.agent,
    inReward: around.inReward || span.reward_scope || span.reward !== null,
    inCall: around.inCall || span.call !== null,
  };
}

function toolCallsByParent(spans: readonly SpanKept[]): Map<string, SpanKept[]> {
  const children = new Map<string, SpanKept[]>();
  for (const span of spans) {
    if (span.tool === null || span.parent_id === null) continue;
    const siblings = children.get(span.parent_id) ?? [];
    children.set(span.parent_id, siblings);
    siblings.push(span);
  }
  return children;
}

/** AgentOps keeps the tool calls a model asked for as child spans: without them the action is empty. */
function withToolCalls(call: Call, tools: readonly SpanKept[]): Call {
  if (tools.length === 0) return call;
  const message = parsed(call.completion);
  if (typeof message !== "object" || message === null || "tool_calls" in message) return call;
  const inOrder = tools.toSorted(
    (a, b) =>
      (a.sequence_id ?? 0) - (b.sequence_id ?? 0) ||
      a.start_time - b.start_time ||
      (a.span_id < b.span_id ? -1 : 1),
  );
  const calls = inOrder.map(({ tool }) => parsed(tool ?? "null"));
  return { ...call, completion: JSON.stringify({ ...message, tool_calls: calls }) };
}
