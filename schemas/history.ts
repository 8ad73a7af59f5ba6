import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import avro from "avsc";
import { messageOf } from "./errors.ts";
import { bundled, type RecordName } from "./records.ts";

const folder = new URL("./history/", import.meta.url);

/** Every version of a record's schema that was ever committed, oldest first, as JSON text. */
export function versionsOf(name: RecordName): string[] {
  const file = new URL(`${name}.jsonl`, folder);
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
}

/** Golden bytes of one version of a record (bare Avro), written when the version was added. */
export function goldenFile(name: RecordName, version: number): URL {
  return new URL(`golden/${name}.${version}.avro`, folder);
}

/**
 * What BACKWARD_TRANSITIVE says against reading records of `versions` with `schema`: one line for
 * each version that could no longer be read; empty when all can.
 */
export function incompatibilities(schema: string, versions: readonly string[]): string[] {
  const reader = avro.Type.forSchema(JSON.parse(schema), { wrapUnions: false });
  return versions.flatMap((version, i) => {
    try {
      reader.createResolver(avro.Type.forSchema(JSON.parse(version), { wrapUnions: false }));
      return [];
    } catch (error) {
      return [`version ${i + 1}: ${messageOf(error)}`];
    }
  });
}

/** Why the record may not be committed as it is; null when it may. */
export function refusal(name: RecordName): string | null {
  const versions = versionsOf(name);
  const broken = incompatibilities(bundled[name].text, versions);
  if (broken.length > 0) return `${name} cannot read what was written before: ${broken.join("; ")}`;
  if (versions.at(-1) !== bundled[name].text) {
    return `${name} has no entry in schemas/history: run npm run generate`;
  }
  return null;
}

/** Adds today's schema to the history, with golden bytes, when it is new and compatible. */
export function recordVersion(name: RecordName): void {
  const versions = versionsOf(name);
  const { text, type } = bundled[name];
  if (versions.at(-1) === text || incompatibilities(text, versions).length > 0) return;
  mkdirSync(new URL("golden/", folder), { recursive: true });
  writeFileSync(new URL(`${name}.jsonl`, folder), [...versions, text, ""].join("\n"));
  writeFileSync(goldenFile(name, versions.length + 1), type.toBuffer(type.random()));
}
