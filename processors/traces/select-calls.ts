import type { Call, SpanKept } from "../../schemas/types.ts";
import { objectOf, parsed } from "./attributes.ts";
import type { Omission, OmissionReason } from "./omissions.ts";
import { type AgentRow, agentRows, type Selection, searchFor } from "./selection.ts";
import type { TraceNode } from "./tree.ts";

/** A call that counts, with what its place in the tree says about it. */
export type SelectedCall = {
  readonly node: TraceNode;
  readonly span: SpanKept;
  readonly call: Call;
  /** Nearest agent above it; empty when there is none. */
  readonly agent: string;
  readonly policy: string;
};

export type SelectedCalls = {
  /** In the order of the tree. */
  readonly calls: readonly SelectedCall[];
  readonly omitted: readonly Omission[];
  /** Which of the calls a span is a copy of, by span id; a call's own span is one. */
  readonly copies: ReadonlyMap<string, SelectedCall>;
};

/** What lies above a node. */
type Surroundings = {
  /** Nearest agent; null when there is none. */
  readonly agent: string | null;
  /** The row that asks for it; null when none does. */
  readonly row: AgentRow | null;
  /** The outermost reward; null when there is none. */
  readonly reward: string | null;
  /** The copies of the nearest call. */
  readonly within: Candidate[] | null;
};

type Candidate = {
  readonly node: TraceNode;
  readonly span: SpanKept;
  readonly call: Call;
  readonly above: Surroundings;
};

/** Copies of one call each. */
type Groups = {
  readonly all: Candidate[][];
  readonly byResponse: Map<string, Candidate[]>;
};

type Found = { readonly copies: readonly Candidate[][]; readonly omitted: Omission[] };

/**
 * The calls of a trace that become steps, and why each other call does not
 * (reference/v0.3-behaviour.md, 3.4).
 *
 * The same call is often seen by several instruments (client, framework, proxy). Its identity is its
 * response id, so samples of one prompt are different calls; one without an id inside another call is
 * that call. Of its copies the one that knows most counts, on a tie the first in the tree; a judge's
 * is it when one copy is, and it belongs to the agent of the first copy that was asked for. Every
 * span that is a call is in exactly one of `calls` and `omitted`. Linear in nodes.
 *
 * @param nodes parents before their children, in the order of the tree
 * @param inOrder the spans in the order in which things happened
 */
export function selectCalls(
  nodes: readonly TraceNode[],
  inOrder: readonly SpanKept[],
  selection: Selection,
): SelectedCalls {
  const { copies: groups, omitted } = findCalls(nodes, toolCallsByParent(inOrder), selection);
  const calls: SelectedCall[] = [];
  const copies = new Map<string, SelectedCall>();
  for (const group of groups) {
    const chosen = choose(group, selection, omitted);
    if (chosen === null) continue;
    calls.push(chosen);
    for (const { span } of group) copies.set(span.span_id, chosen);
  }
  return { calls, omitted, copies };
}

/** The calls by identity; what is none that was asked for is put into `omitted`. */
function findCalls(
  nodes: readonly TraceNode[],
  toolsOf: ReadonlyMap<string, readonly SpanKept[]>,
  selection: Selection,
): Found {
  const groups: Groups = { all: [], byResponse: new Map() };
  const omitted: Omission[] = [];
  const rowOf = agentRows(selection.agents);
  const wanted = selection.calls === null ? null : searchFor(selection.calls, "selection.calls");
  /** By place of the node. */
  const below: Surroundings[] = [];
  const top = { agent: null, row: rowOf(null), reward: null, within: null };
  for (const node of nodes) {
    const above = (node.parent === null ? undefined : below[node.parent.place]) ?? top;
    const { span } = node;
    let group: Candidate[] | null = null;
    if (span !== null && span.call !== null) {
      const call = withToolCalls(span.call, toolsOf.get(span.span_id) ?? []);
      const candidate = { node, span, call, above };
      if (wanted !== null && !wanted(span.name)) {
        omitted.push(omission(candidate, "not-a-wanted-call", `read ${span.name}`));
      } else if (call.error !== null && isEmpty(call)) {
        omitted.push(omission(candidate, "failed", call.error));
      } else {
        group = groupOf(groups, candidate);
        group.push(candidate);
      }
    }
    below.push(belowNode(node, above, group, rowOf));
  }
  return { copies: groups.all, omitted };
}

function groupOf({ all, byResponse }: Groups, { call, above }: Candidate): Candidate[] {
  const { response_id } = call;
  const known = response_id === null ? above.within : byResponse.get(response_id);
  if (known !== null && known !== undefined) return known;
  const group: Candidate[] = [];
  all.push(group);
  if (response_id !== null) byResponse.set(response_id, group);
  return group;
}

/** What lies above the children of a node. */
function belowNode(
  { span }: TraceNode,
  above: Surroundings,
  group: Candidate[] | null,
  rowOf: (agent: string) => AgentRow | null,
): Surroundings {
  if (span === null) return above;
  const isReward = span.reward_scope || span.reward !== null;
  if (span.agent === null && group === null && !isReward) return above;
  return {
    agent: span.agent ?? above.agent,
    row: span.agent === null ? above.row : rowOf(span.agent),
    reward: above.reward ?? (isReward ? span.span_id : null),
    within: group ?? above.within,
  };
}

/** The call that a group of copies is, or null; the copies that do not count go into `omitted`. */
function choose(
  group: readonly Candidate[],
  selection: Selection,
  omitted: Omission[],
): SelectedCall | null {
  const judged = group.find(({ above }) => above.reward !== null);
  if (judged !== undefined && !selection.judges) {
    const detail = `below reward ${judged.above.reward}`;
    omitted.push(...group.map((copy) => omission(copy, "judge", detail)));
    return null;
  }
  const asked = group.filter(({ above }) => above.row !== null);
  const owner = asked.find(({ above }) => above.agent !== null) ?? asked[0];
  if (owner === undefined) {
    const patterns = selection.agents.map(({ match }) => match).join(", ");
    for (const copy of group) {
      const detail = `read ${copy.above.agent ?? "no agent"}, asked for ${patterns}`;
      omitted.push(omission(copy, "not-selected", detail));
    }
    return null;
  }
  const best = group.reduce((a, b) => (knowledge(b.call) > knowledge(a.call) ? b : a));
  for (const copy of group) {
    if (copy !== best) {
      omitted.push(omission(copy, "duplicate", `span ${best.span.span_id} is the same call`));
    }
  }
  const { node, span, call } = best;
  const { agent, row } = owner.above;
  if (!isEmpty(call)) return { node, span, call, agent: agent ?? "", policy: row?.policy ?? "" };
  const counted = `the engine counted ${call.completion_tokens} tokens out`;
  omitted.push(omission({ ...best, above: owner.above }, "empty-response", counted));
  return null;
}

function omission({ span, above }: Candidate, reason: OmissionReason, detail: string): Omission {
  return { span, agent: above.agent ?? "", reason, detail };
}

/** Higher is better; token ids of the action weigh most. */
function knowledge(call: Call): number {
  const flags = [
    call.response_ids.length > 0,
    call.prompt_ids.length > 0,
    call.logprobs.length > 0,
    call.choices.length > 0,
    call.policy_version !== null,
    call.messages !== "[]",
    !isEmpty(call),
  ];
  return flags.reduce((sum, flag, i) => sum + (flag ? 2 ** (flags.length - i) : 0), 0);
}

/** True when nothing of any choice was recorded. */
function isEmpty({ response_ids, completion, choices }: Call): boolean {
  return (
    response_ids.length === 0 &&
    saysNothing(completion) &&
    choices.every((choice) => choice.response_ids.length === 0 && saysNothing(choice.completion))
  );
}

function saysNothing(completion: string): boolean {
  const message = objectOf(parsed(completion)) ?? {};
  return Object.entries(message).every(
    ([name, value]) =>
      name === "role" ||
      value === null ||
      value === "" ||
      (Array.isArray(value) && value.length === 0),
  );
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

/**
 * AgentOps keeps the tool calls a model asked for as child spans: without them the action is empty.
 * The texts are put together as they are; to read and write them again costs as much as all else.
 */
function withToolCalls(call: Call, tools: readonly SpanKept[]): Call {
  const { completion } = call;
  if (tools.length === 0 || !completion.startsWith("{") || hasToolCalls(completion)) return call;
  const calls = `"tool_calls":[${tools.map(({ tool }) => tool ?? "null").join()}]}`;
  const before = completion === "{}" ? "{" : `${completion.slice(0, -1)},`;
  return { ...call, completion: before + calls };
}

function hasToolCalls(completion: string): boolean {
  return (
    completion.includes('"tool_calls"') && "tool_calls" in (objectOf(parsed(completion)) ?? {})
  );
}
