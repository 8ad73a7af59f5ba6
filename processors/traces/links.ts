import type { Link, SpanRecorded } from "../../schemas/types.ts";
import { objectOf } from "./attributes.ts";
import { itemsOf, nestedAt } from "./nested.ts";

/** Below it stand links, by index. */
export const linkPrefix = "agentlightning.link";

/**
 * What a span says it is about (`agentlightning.link.<i>.key_match` and `.value_match`,
 * reference/v0.3-behaviour.md, 1.2): both are text; a link without one of them links to nothing.
 */
export function readLinks(span: SpanRecorded): Link[] {
  return itemsOf(nestedAt(span, linkPrefix)).flatMap((item) => {
    const { key_match: key, value_match: value } = objectOf(item) ?? {};
    return typeof key === "string" && typeof value === "string" ? [{ key, value }] : [];
  });
}
