/**
 * Which of two copies of one span stays: the one already kept when they say the same, else the one
 * whose content comes first in a fixed order of texts. So the choice depends on what was sent and
 * not on what came first.
 */
export function sameOrFirst<T extends object>(kept: T, other: T): T {
  return contentOf(other) < contentOf(kept) ? other : kept;
}

/** Everything but where and when the copy stands in the log. */
function contentOf(span: object): string {
  return JSON.stringify({ ...span, offset: 0, received_at: 0 }, inFixedOrder);
}

function inFixedOrder(_name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (isBufferJson(value)) return Buffer.from(value.data).toString("hex");
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `Buffer` turns itself into this before a replacer sees it; other byte arrays do not. */
function isBufferJson(value: unknown): value is { readonly data: number[] } {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    value.type === "Buffer" &&
    "data" in value
  );
}
