/**
 * Writes `types.ts` from the `*.avsc` files and adds changed schemas to `history/`:
 * `npm run generate`. With `--check` it writes nothing and fails when a file on disk differs or a
 * schema cannot read what an earlier version of it wrote.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL("./", import.meta.url);

type AvroField = { name: string; type: AvroSchema; doc?: string; default?: unknown };
type AvroRecord = { type: "record"; name: string; doc?: string; fields: AvroField[] };
type AvroSchema =
  | string
  | AvroSchema[]
  | AvroRecord
  | { type: "map"; values: AvroSchema }
  | { type: "array"; items: AvroSchema }
  | { type: string; logicalType?: string };

const primitives: Record<string, string> = {
  string: "string",
  long: "number",
  int: "number",
  double: "number",
  float: "number",
  boolean: "boolean",
  bytes: "Uint8Array",
  null: "null",
};

/** Record name → its TypeScript text; the same record in two files must read the same. */
const interfaces = new Map<string, string>();

function typeText(schema: AvroSchema): string {
  if (typeof schema === "string") return primitives[schema] ?? schema;
  if (Array.isArray(schema)) return schema.map(typeText).sort(nullLast).join(" | ");
  if (schema.type === "record") return recordText(schema as AvroRecord);
  if ("values" in schema) return `{ [name: string]: ${typeText(schema.values)} }`;
  if ("items" in schema) return `(${typeText(schema.items)})[]`;
  return typeText(schema.type);
}

function nullLast(a: string, b: string): number {
  return Number(a === "null") - Number(b === "null");
}

function recordText(record: AvroRecord): string {
  const fields = record.fields.map((field) => {
    const doc = field.doc === undefined ? "" : `  /** ${field.doc} */\n`;
    return `${doc}  ${field.name}: ${typeText(field.type)};\n`;
  });
  const doc = record.doc === undefined ? "" : `/** ${record.doc} */\n`;
  const text = `${doc}export type ${record.name} = {\n${fields.join("")}};\n`;
  const before = interfaces.get(record.name);
  if (before !== undefined && before !== text) {
    throw new Error(`the record ${record.name} is written differently in two .avsc files`);
  }
  interfaces.set(record.name, text);
  return record.name;
}

function generate(): string {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".avsc"))
    .sort();
  const schemas = files.map((file) => readFileSync(new URL(file, folder), "utf8"));
  const names = schemas.map((text) => recordText(JSON.parse(text) as AvroRecord));
  const bundled = files.map((file, i) => `  ${names[i]}: "${file}",\n`);
  return [
    "// Generated from *.avsc by `npm run generate`; do not edit.\n",
    ...interfaces.values(),
    "/** Every record that stands on a topic of its own, by name. */\nexport type RecordTypes = {\n",
    ...names.map((name) => `  ${name}: ${name};\n`),
    "};\n",
    "/** Record name → file of its schema in this folder. */\nexport const schemaFiles = {\n",
    ...bundled,
    "} as const;\n",
  ].join("\n");
}

const target = new URL("types.ts", folder);
const text = generate();
const check = process.argv.includes("--check");
if (!check) writeFileSync(target, text);
const problems =
  readFileSync(target, "utf8") === text
    ? await historyProblems()
    : ["schemas/types.ts is out of date: run npm run generate"];
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;

/** Imported late: records.ts reads the types.ts that was just written. */
async function historyProblems(): Promise<string[]> {
  const { recordNames } = await import("./records.ts");
  const { recordVersion, refusal } = await import("./history.ts");
  if (!check) recordNames.forEach(recordVersion);
  return recordNames.map(refusal).filter((problem) => problem !== null);
}
