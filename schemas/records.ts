import { readFileSync } from "node:fs";
import avro from "avsc";
import { mendAvro } from "./avro-fixes.ts";
import { type RecordTypes, schemaFiles } from "./types.ts";

mendAvro();

export type RecordName = keyof RecordTypes;

/** A record with the name that says which one it is. */
export type Tagged<Name extends RecordName = RecordName> = {
  [N in Name]: { readonly type: N; readonly value: RecordTypes[N] };
}[Name];

/** Avro namespace of every record: the full name is `lightning.SpanRecorded`. */
export const namespace = "lightning";

export type BundledSchema = {
  readonly name: RecordName;
  readonly text: string;
  readonly type: avro.Type;
};

function load(name: RecordName): BundledSchema {
  const text = readFileSync(new URL(schemaFiles[name], import.meta.url), "utf8");
  const schema: avro.Schema = JSON.parse(text);
  return {
    name,
    text: JSON.stringify(schema),
    type: avro.Type.forSchema(schema, { wrapUnions: false }),
  };
}

/** The schemas this build writes and reads, compiled; nobody needs a registry to have them. */
export const bundled: Readonly<Record<RecordName, BundledSchema>> = Object.fromEntries(
  Object.keys(schemaFiles).map((name) => [name, load(name as RecordName)]),
) as Record<RecordName, BundledSchema>;

/** All record names, in a fixed order. */
export const recordNames = Object.keys(schemaFiles) as RecordName[];
