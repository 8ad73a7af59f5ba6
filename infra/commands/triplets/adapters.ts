import { readProxyTrace } from "../../../processors/adapters/llm-proxy.ts";
import { conversationsOf } from "../../../processors/adapters/messages.ts";
import { readTracerTrace } from "../../../processors/adapters/tracer.ts";
import { parseTracerConfig } from "../../../processors/adapters/tracer-config.ts";
import { LightningError } from "../../../schemas/errors.ts";
import type { SpanRecorded } from "../../../schemas/types.ts";
import { explainTrace } from "./explain.ts";
import { explainProxyTrace } from "./explain-proxy.ts";

/** A config as the user wrote it. */
export type Config = Readonly<Record<string, unknown>>;

/** What an adapter makes of the spans of one attempt. */
export type Adapted = {
  readonly items: readonly unknown[];
  /** Why these and no others, as lines for people. */
  explain(): readonly string[];
};

/** What makes training data of the spans of one attempt. */
export type Adapter = {
  /** The reference's name of it. */
  readonly reference: string;
  /** One line. */
  readonly doc: string;
  /**
   * @throws LightningError `record-invalid` for spans, `request-invalid` for a config that cannot be,
   * both naming the field.
   */
  adapt(spans: readonly SpanRecorded[], config: Config): Adapted;
};

/** Adapters for spans, by the name a user gives them. */
export const adapters = {
  tracer: {
    reference: "TracerTraceToTriplet",
    doc: "a triplet per LLM call of the selected agents, from the tree of spans a tracer made",
    adapt(spans, config) {
      const trace = readTracerTrace(spans, parseTracerConfig(config));
      return {
        items: trace.calls.map(({ triplet }) => triplet),
        explain: () => explainTrace(trace, spans),
      };
    },
  },
  "llm-proxy": {
    reference: "LlmProxyTraceToTriplet",
    doc: "a triplet per call in an LLM proxy's trace, token ids alone, by sequence id",
    adapt(spans, config) {
      checkEmpty("llm-proxy", config);
      const trace = readProxyTrace(spans);
      return {
        items: trace.calls.map(({ triplet }) => triplet),
        explain: () => explainProxyTrace(trace),
      };
    },
  },
  messages: {
    reference: "TraceToMessages",
    doc: "OpenAI messages and tools of every span that has gen_ai attributes",
    adapt(spans, config) {
      checkEmpty("messages", config);
      const items = conversationsOf(spans);
      const explain = () => [
        `${items.length} of ${spans.length} spans have attributes below gen_ai.prompt, .completion, .request or .response`,
      ];
      return { items, explain };
    },
  },
} as const satisfies Readonly<Record<string, Adapter>>;

export type AdapterName = keyof typeof adapters;

export const adapterNames = Object.keys(adapters) as AdapterName[];

function checkEmpty(adapter: AdapterName, config: Config): void {
  const [name] = Object.keys(config);
  if (name === undefined) return;
  const message = `config has ${JSON.stringify(name)}, the adapter ${adapter} takes no config`;
  throw new LightningError("request-invalid", message, { field: name });
}
