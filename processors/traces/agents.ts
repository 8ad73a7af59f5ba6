import type { SpanRecorded } from "../../schemas/types.ts";
import { textOf } from "./attributes.ts";

type AgentConvention = {
  /** Attribute that holds the name. */
  readonly attribute: string;
  /** Spans the attribute means an agent on; absent: all. */
  readonly when?: (span: SpanRecorded) => boolean;
};

/**
 * How frameworks name the agent a span belongs to; the first row that yields a name wins. Rows up to
 * `lc_name` are the reference's, in its order (reference/v0.3-behaviour.md, 3.3).
 */
export const agentConventions: readonly AgentConvention[] = [
  { attribute: "agent.name" },
  { attribute: "operation.name", when: (span) => textOf(span, ["agentops.span.kind"]) === "agent" },
  { attribute: "recipient_agent_type" },
  { attribute: "langchain.chain.type" },
  { attribute: "executor.id" },
  {
    attribute: "agentlightning.operation.input.name",
    when: (span) => textOf(span, ["type"]) === "agent",
  },
  { attribute: "lc_name", when: (span) => span.name.startsWith("langchain.Chain.") },
  // https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/
  { attribute: "gen_ai.agent.name" },
  // https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html
  {
    attribute: "graph.node.id",
    when: (span) => textOf(span, ["openinference.span.kind"]) === "AGENT",
  },
  // https://www.traceloop.com/docs/openllmetry/tracing/annotations
  {
    attribute: "traceloop.entity.name",
    when: (span) => textOf(span, ["traceloop.span.kind"]) === "agent",
  },
];

/** Attributes of which a span that names its agent has one. */
export const agentAttributes: readonly string[] = agentConventions.map((row) => row.attribute);

/** Name of the agent this span belongs to, or null. */
export function readAgent(span: SpanRecorded): string | null {
  for (const { attribute, when } of agentConventions) {
    const name = span.attributes.strings[attribute];
    if (name !== undefined && (when === undefined || when(span))) return name;
  }
  return null;
}
