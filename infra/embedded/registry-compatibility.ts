import avsc, { type Type } from "avsc";
import { messageOf } from "../../schemas/errors.ts";
import type { CompatibilityLevel } from "./registry-records.ts";

/** Parses an Avro schema. @throws what avsc throws */
export function parseSchema(schema: string): Type {
  const parsed: unknown = JSON.parse(schema);
  if (typeof parsed !== "object" && typeof parsed !== "string") throw new Error("not a schema");
  // Wrapped, because avsc refuses unwrapped unions that Avro allows, such as int and long.
  return avsc.Type.forSchema(parsed as Parameters<typeof avsc.Type.forSchema>[0], {
    wrapUnions: true,
  });
}

/**
 * Says why a schema may not follow earlier ones (oldest first) under a level; nothing when it may.
 * Avro's own rules decide, those by which readers resolve what writers wrote.
 */
export function incompatibilities(
  level: CompatibilityLevel,
  schema: string,
  earlier: readonly string[],
): string[] {
  if (level === "NONE") return [];
  const against = level.endsWith("_TRANSITIVE") ? earlier : earlier.slice(-1);
  const added = parseSchema(schema);
  return against.flatMap((text) => {
    const old = parseSchema(text);
    const backward = level.startsWith("FORWARD") ? undefined : cannotRead(added, old, "new", "old");
    const forward = level.startsWith("BACKWARD") ? undefined : cannotRead(old, added, "old", "new");
    return [backward, forward].filter((reason) => reason !== undefined);
  });
}

function cannotRead(reader: Type, writer: Type, by: string, of: string): string | undefined {
  try {
    reader.createResolver(writer);
    return undefined;
  } catch (error) {
    return `the ${by} schema cannot read what the ${of} one wrote: ${messageOf(error)}`;
  }
}
