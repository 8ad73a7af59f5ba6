import type { ProxyTrace } from "../../../processors/adapters/llm-proxy.ts";
import type { SpanRecorded } from "../../../schemas/types.ts";
import { printable } from "../table.ts";

/** What became of a proxy's trace, as lines for people: it has no tree that counts. Linear in spans. */
export function explainProxyTrace({ calls, omitted, unmatched }: ProxyTrace): string[] {
  const lines = [
    ...calls.map(({ span, triplet, rewardSpan }, i) => {
      const reward =
        rewardSpan === null ? "no reward" : `reward ${triplet.reward} of ${rewardSpan.span_id}`;
      return `${nameOf(span)} → triplet ${i} (${reward})`;
    }),
    ...omitted.map(
      ({ span, reason, detail }) => `${nameOf(span)} → no triplet: ${reason}: ${detail}`,
    ),
    ...unmatched.map((span) => `${nameOf(span)}  reward → no call`),
  ];
  return lines.length === 0 ? [noRequests] : lines.map(printable);
}

const noRequests = "no span is a raw_gen_ai_request or a litellm_request";

function nameOf({ name, span_id, sequence_id }: SpanRecorded): string {
  return `${sequence_id ?? "?"}  ${name} ${span_id}`;
}
