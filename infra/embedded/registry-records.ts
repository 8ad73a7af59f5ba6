/** A record of the `_schemas` topic. */
export type SchemasRecord = {
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
};

/** The registry's access to its topic: one partition, compacted. */
export type SchemasLog = {
  /** Appends a record durably and returns its offset. */
  append(key: Buffer, value: Buffer | null): Promise<number>;
  /** Reads the topic from its beginning and on; resolves when what was there has been read. */
  tail(onRecord: (record: SchemasRecord) => void | Promise<void>): Promise<{
    /** Resolves when the record at this offset has been read. */
    caughtUpTo(offset: number): Promise<void>;
    close(): Promise<void>;
  }>;
};

export const compatibilityLevels = [
  "NONE",
  "BACKWARD",
  "BACKWARD_TRANSITIVE",
  "FORWARD",
  "FORWARD_TRANSITIVE",
  "FULL",
  "FULL_TRANSITIVE",
] as const;
export type CompatibilityLevel = (typeof compatibilityLevels)[number];

/** One version of a subject. */
export type SchemaVersion = {
  readonly subject: string;
  readonly version: number;
  readonly id: number;
  readonly schema: string;
  readonly deleted: boolean;
};

/** What the records of the topic mean; Confluent's registry writes more kinds, which are skipped. */
export type Fact =
  | { readonly kind: "schema"; readonly schema: SchemaVersion }
  | { readonly kind: "schema-removed"; readonly subject: string; readonly version: number }
  | { readonly kind: "subject-deleted"; readonly subject: string; readonly upTo: number }
  | {
      readonly kind: "config";
      /** null: for all subjects that have none. */
      readonly subject: string | null;
      readonly level: CompatibilityLevel | undefined;
    };

type Json = Readonly<Record<string, unknown>>;

/** Reads a record; undefined for kinds that say nothing to us (NOOP, MODE, …) and for damaged ones. */
export function readFact(record: SchemasRecord): Fact | undefined {
  const key = parse(record.key);
  const value = parse(record.value);
  if (key === undefined) return undefined;
  const subject = typeof key.subject === "string" ? key.subject : null;
  if (key.keytype === "CONFIG") {
    const level = compatibilityLevels.find((l) => l === value?.compatibilityLevel);
    return { kind: "config", subject, level };
  }
  if (subject === null) return undefined;
  if (key.keytype === "SCHEMA") return readSchema(subject, key, record.value === null, value);
  const deletes = key.keytype === "DELETE_SUBJECT" || key.keytype === "CLEAR_SUBJECT";
  if (!deletes || record.value === null) return undefined;
  const upTo = typeof value?.version === "number" ? value.version : Number.MAX_SAFE_INTEGER;
  return { kind: "subject-deleted", subject, upTo };
}

function readSchema(
  subject: string,
  key: Json,
  removed: boolean,
  value: Json | undefined,
): Fact | undefined {
  const { version } = key;
  if (typeof version !== "number") return undefined;
  if (removed) return { kind: "schema-removed", subject, version };
  if (typeof value?.id !== "number" || typeof value.schema !== "string") return undefined;
  const { id, schema } = value;
  const deleted = value.deleted === true;
  return { kind: "schema", schema: { subject, version, id, schema, deleted } };
}

function parse(bytes: Buffer | null): Json | undefined {
  try {
    const value: unknown = JSON.parse(bytes?.toString() ?? "");
    return typeof value === "object" && value !== null ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A fact as Confluent's registry writes it. The order of a key's fields matters: compaction goes by
 * the key's bytes.
 */
export function writeFact(fact: Fact): { readonly key: Buffer; readonly value: Buffer | null } {
  switch (fact.kind) {
    case "schema":
      return bytes(schemaKey(fact.schema.subject, fact.schema.version), {
        subject: fact.schema.subject,
        version: fact.schema.version,
        id: fact.schema.id,
        schema: fact.schema.schema,
        deleted: fact.schema.deleted,
      });
    case "schema-removed":
      return bytes(schemaKey(fact.subject, fact.version), null);
    case "subject-deleted":
      return bytes(
        { keytype: "DELETE_SUBJECT", subject: fact.subject, magic: 0 },
        { subject: fact.subject, version: fact.upTo },
      );
    case "config":
      return bytes(
        { keytype: "CONFIG", subject: fact.subject, magic: 0 },
        fact.level === undefined ? null : { compatibilityLevel: fact.level },
      );
  }
}

function schemaKey(subject: string, version: number): Json {
  return { keytype: "SCHEMA", subject, version, magic: 1 };
}

function bytes(key: Json, value: Json | null): { key: Buffer; value: Buffer | null } {
  return {
    key: Buffer.from(JSON.stringify(key)),
    value: value === null ? null : Buffer.from(JSON.stringify(value)),
  };
}
