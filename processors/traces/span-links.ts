import type { RewardedSpan, SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { numberOf, textOf } from "./attributes.ts";
import type { Matter, RewardableCall } from "./rewardable.ts";

/** Link, or attribute of a link, that names one choice of a call, from 0, as text. */
export const choiceKey = "lightning.choice";

/** The spans a span links to in OpenTelemetry's own way (https://opentelemetry.io/docs/specs/otel/trace/api/#link). */
export function readSpanLinks({ links }: SpanRecorded): RewardedSpan[] {
  return links.map((link) => ({
    trace_id: link.trace_id,
    span_id: link.span_id,
    choice: textOf(link, [choiceKey]) ?? numberOf(link, [choiceKey])?.toString() ?? null,
  }));
}

/** Finds the last of the calls that the links of a reward's span name, and the choice that is meant. */
export function spanLinkedCalls<C extends RewardableCall>({
  calls,
  copies,
  nodes,
}: Matter<C>): (
  reward: SpanKept,
) => { readonly call: C; readonly choice: string | null } | undefined {
  let known: { traces: Map<string, string>; places: Map<C, number> } | null = null;
  return ({ span_links }) => {
    if (span_links.length === 0) return undefined;
    known ??= {
      traces: new Map(
        nodes.flatMap(({ id, span }) => (span === null ? [] : [[id, span.trace_id]])),
      ),
      places: new Map(calls.map((call, i) => [call, i])),
    };
    const { traces, places } = known;
    const placeOf = (call: C): number => places.get(call) ?? -1;
    const named = span_links.flatMap(({ trace_id, span_id, choice }) => {
      const call = traces.get(span_id) === trace_id ? copies.get(span_id) : undefined;
      return call === undefined ? [] : [{ call, choice }];
    });
    return named.sort((a, b) => placeOf(a.call) - placeOf(b.call)).at(-1);
  };
}
