import { shortHash } from "./lifecycle/short-hash.ts";

/**
 * 24 hex digits that say whether two values say the same: objects with their fields in any order,
 * bytes in any kind of array. Linear in the size of the value.
 */
export function digestOf(value: unknown): string {
  const text = contentOf(value);
  return shortHash(text) + shortHash(`.${text}`);
}

function contentOf(value: unknown): string {
  if (value instanceof Uint8Array) {
    return `x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1")};`;
  }
  if (Array.isArray(value)) return `[${value.map(contentOf).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "";
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, one]) => `${JSON.stringify(name)}:${contentOf(one)}`).join(",")}}`;
}
