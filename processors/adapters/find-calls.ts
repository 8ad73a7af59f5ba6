import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { isCall } from "../traces/calls.ts";
import type { OmissionReason } from "../traces/omissions.ts";
import type { RewardableCall } from "../traces/rewardable.ts";
import { type AgentRow, agentRows, searchFor } from "../traces/selection.ts";
import type { TraceNode } from "../traces/tree.ts";
import { lacksTokens, responseIdOf, tripletOf } from "./read-triplet.ts";
import type { TracerConfig } from "./tracer-config.ts";
import type { Triplet } from "./triplet.ts";

/** Why a span that is a call by its name gives no triplet. */
export type TracerOmission = {
  readonly span: SpanRecorded;
  /** Nearest agent above it; empty when there is none. */
  readonly agent: string;
  readonly reason: OmissionReason;
  readonly detail: string;
};

/** A call that counts, its triplet still without a reward. */
export type FoundCall = RewardableCall & {
  readonly recorded: SpanRecorded;
  readonly triplet: Triplet;
};

export type FoundCalls = {
  /** In the order of the tree. */
  readonly found: readonly FoundCall[];
  readonly omitted: readonly TracerOmission[];
};

/** What lies above a node. */
type Surroundings = {
  /** Nearest agent; null when there is none. */
  readonly agent: string | null;
  readonly row: AgentRow | null;
  /** The outermost reward, where calls below one do not count. */
  readonly reward: string | null;
  /** The nearest call that counts. */
  readonly within: string | null;
};

type Verdict = readonly [OmissionReason, string] | null;

/**
 * The reference's `find_llm_calls` (reference/v0.3-behaviour.md, 3.4): spans that are calls by their
 * name, asked for, not a judge's, and each response id once, the first in the tree; one without an
 * id inside a call that counts is that call.
 *
 * @param nodes parents before their children, in the order of the tree
 */
export function findCalls(
  nodes: readonly TraceNode[],
  recorded: ReadonlyMap<string, SpanRecorded>,
  { selection, skipEmpty }: TracerConfig,
): FoundCalls {
  const found: FoundCall[] = [];
  const omitted: TracerOmission[] = [];
  const seen = new Map<string, string>();
  const rowOf = agentRows(selection.agents);
  const counts = callTest(selection.calls);
  /** By place of the node. */
  const below: Surroundings[] = [];
  const top = { agent: null, row: rowOf(null), reward: null, within: null };
  for (const node of nodes) {
    const above = (node.parent === null ? undefined : below[node.parent.place]) ?? top;
    const span = recorded.get(node.span?.span_id ?? "");
    let accepted = false;
    if (node.span !== null && span !== undefined && counts(span)) {
      const id = responseIdOf(span);
      const verdict = verdictOn(id, above, seen);
      accepted = verdict === null;
      if (accepted && id !== null) seen.set(id, node.id);
      const triplet = tripletOf(span, above.agent ?? "*", above.row?.policy ?? "");
      const refusal = verdict ?? (skipEmpty && lacksTokens(triplet) ? noTokens : null);
      if (refusal === null) found.push(callOf(node, node.span, span, triplet));
      else omitted.push(omission(span, above, refusal));
    }
    below.push(belowNode(node, above, accepted, rowOf, !selection.judges));
  }
  return { found, omitted };
}

const noTokens: Verdict = ["no-token-ids", "the prompt or the response has none"];

function omission(
  span: SpanRecorded,
  { agent }: Surroundings,
  [reason, detail]: NonNullable<Verdict>,
): TracerOmission {
  return { span, agent: agent ?? "", reason, detail };
}

function callTest(pattern: string | null): (span: SpanRecorded) => boolean {
  if (pattern === null) return isCall;
  const found = searchFor(pattern, "config.llm_call_match");
  return ({ name }) => found(name);
}

function verdictOn(
  id: string | null,
  { agent, row, reward, within }: Surroundings,
  seen: ReadonlyMap<string, string>,
): Verdict {
  if (row === null) return ["not-selected", `read ${agent ?? "no agent"}`];
  if (reward !== null) return ["judge", `below reward ${reward}`];
  const same = id === null ? within : seen.get(id);
  return same === undefined || same === null
    ? null
    : ["duplicate", `span ${same} is the same call`];
}

function callOf(
  node: TraceNode,
  span: SpanKept,
  recorded: SpanRecorded,
  triplet: Triplet,
): FoundCall {
  const { response_id } = triplet.metadata;
  return { node, span, call: { response_id, choices: [] }, recorded, triplet };
}

/** What lies above the children of a node. */
function belowNode(
  { id, span }: TraceNode,
  above: Surroundings,
  accepted: boolean,
  rowOf: (agent: string) => AgentRow | null,
  excludeJudges: boolean,
): Surroundings {
  if (span === null) return above;
  const isReward = excludeJudges && (span.reward_scope || span.reward !== null);
  if (span.agent === null && !accepted && !isReward) return above;
  return {
    agent: span.agent ?? above.agent,
    row: span.agent === null ? above.row : rowOf(span.agent),
    reward: above.reward ?? (isReward ? id : null),
    within: accepted ? id : above.within,
  };
}
