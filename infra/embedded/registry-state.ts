import {
  type CompatibilityLevel,
  readFact,
  type SchemasRecord,
  type SchemaVersion,
} from "./registry-records.ts";

/** The level of subjects without one of their own, unless the topic says otherwise. */
export const defaultLevel: CompatibilityLevel = "BACKWARD_TRANSITIVE";

/**
 * The registry as the records of its topic make it. Where two registries wrote at once, the first
 * record in the topic holds: a version that is taken, or an id that names another schema, makes a
 * later record void, for everyone who reads the topic.
 */
export class RegistryState {
  readonly #subjects = new Map<string, Map<number, SchemaVersion>>();
  readonly #schemas = new Map<number, string>();
  readonly #ids = new Map<string, number>();
  readonly #levels = new Map<string | null, CompatibilityLevel>();
  #highestId = 0;

  /** Takes the next record of the topic. */
  apply(record: SchemasRecord): void {
    const fact = readFact(record);
    if (fact === undefined) return;
    if (fact.kind === "config") this.#configure(fact.subject, fact.level);
    else if (fact.kind === "schema") this.#add(fact.schema);
    else if (fact.kind === "schema-removed") this.#remove(fact.subject, fact.version);
    else this.#deleteSubject(fact.subject, fact.upTo);
  }

  #configure(subject: string | null, level: CompatibilityLevel | undefined): void {
    if (level === undefined) this.#levels.delete(subject);
    else this.#levels.set(subject, level);
  }

  #add(added: SchemaVersion): void {
    this.#highestId = Math.max(this.#highestId, added.id);
    const text = canonical(added.schema);
    const versions = this.#subjects.get(added.subject) ?? new Map<number, SchemaVersion>();
    const known = versions.get(added.version);
    const taken = known !== undefined && canonical(known.schema) !== text;
    const named = this.#schemas.get(added.id);
    if (taken || (named !== undefined && canonical(named) !== text)) return;
    this.#subjects.set(added.subject, versions);
    versions.set(added.version, known === undefined ? added : { ...known, deleted: added.deleted });
    this.#schemas.set(added.id, named ?? added.schema);
    if (!this.#ids.has(text)) this.#ids.set(text, added.id);
  }

  /** Ids outlive their versions: records that carry them may still be read. */
  #remove(subject: string, version: number): void {
    const versions = this.#subjects.get(subject);
    versions?.delete(version);
    if (versions?.size === 0) this.#subjects.delete(subject);
  }

  #deleteSubject(subject: string, upTo: number): void {
    const versions = this.#subjects.get(subject);
    for (const [version, entry] of versions ?? []) {
      if (version <= upTo) versions?.set(version, { ...entry, deleted: true });
    }
  }

  /** Names of the subjects that have a version, in order. */
  subjects(withDeleted: boolean): string[] {
    const names = [...this.#subjects.keys()];
    return names.filter((name) => this.versions(name, withDeleted).length > 0).sort();
  }

  /** A subject's versions, oldest first. */
  versions(subject: string, withDeleted: boolean): SchemaVersion[] {
    const all = [...(this.#subjects.get(subject)?.values() ?? [])];
    return all.filter((v) => withDeleted || !v.deleted).sort((a, b) => a.version - b.version);
  }

  /** The version of a subject that holds this schema. */
  find(subject: string, schema: string, withDeleted: boolean): SchemaVersion | undefined {
    const text = canonical(schema);
    return this.versions(subject, withDeleted).find((v) => canonical(v.schema) === text);
  }

  schema(id: number): string | undefined {
    return this.#schemas.get(id);
  }

  /** Where an id is used. */
  uses(id: number): SchemaVersion[] {
    return this.subjects(false).flatMap((subject) =>
      this.versions(subject, false).filter((v) => v.id === id),
    );
  }

  /** The id this schema has or would get. */
  idFor(schema: string): number {
    return this.#ids.get(canonical(schema)) ?? this.#highestId + 1;
  }

  /** A subject's own level, or the global one for null. */
  ownLevel(subject: string | null): CompatibilityLevel | undefined {
    return this.#levels.get(subject) ?? (subject === null ? defaultLevel : undefined);
  }

  levelOf(subject: string): CompatibilityLevel {
    return this.ownLevel(subject) ?? this.ownLevel(null) ?? defaultLevel;
  }
}

const canonicalTexts = new Map<string, string>();

/** Two texts of one schema are one schema: white space does not count. */
export function canonical(schema: string): string {
  const known = canonicalTexts.get(schema);
  if (known !== undefined) return known;
  let text = schema;
  try {
    text = JSON.stringify(JSON.parse(schema));
  } catch {}
  // A bound, since lookups bring texts that were never registered.
  if (canonicalTexts.size > 10_000) canonicalTexts.clear();
  canonicalTexts.set(schema, text);
  return text;
}
