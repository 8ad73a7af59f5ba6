import type { SpanKept, SpanRecorded } from "../../schemas/types.ts";
import { keptSpan } from "../traces/read-span.ts";
import { subjects } from "../traces/subjects.ts";

const nowhere = { offset: 0, timestamp: 0 };
const asked = subjects.agent | subjects.reward | subjects.links;

/**
 * What the tree needs to know of a span, rewards included: what a call says is read once, into its
 * triplet.
 */
export function lightSpan(span: SpanRecorded): SpanKept {
  return keptSpan(span, nowhere, asked);
}
