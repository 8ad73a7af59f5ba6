import type { Member } from "./strategy.ts";

/** A field of a rollout's metadata; undefined when there is none or the metadata is no object. */
export function metadataField({ metadata }: Pick<Member, "metadata">, name: string): unknown {
  try {
    const read: unknown = JSON.parse(metadata);
    if (typeof read !== "object" || read === null || !Object.hasOwn(read, name)) return undefined;
    return (read as Readonly<Record<string, unknown>>)[name];
  } catch {
    // Metadata is the caller's own text; what is no JSON has no fields.
    return undefined;
  }
}
