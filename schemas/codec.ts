import avro from "avsc";
import { LightningError, messageOf } from "./errors.ts";
import { bundled, namespace, type RecordName, type Tagged } from "./records.ts";

/**
 * Who knows the ids of schemas: the registry client of infra/registry.ts. Both throw
 * `registry-unavailable` when it is away, `schemaOf` throws `schema-unknown` for an id nobody knows.
 */
export type SchemaIds = {
  /** Registers the schema under the subject (idempotent) and gives its id. */
  idOf(subject: string, schema: string): Promise<number>;
  /** The writer's schema of an id, as JSON text. */
  schemaOf(id: number): Promise<string>;
};

/** Confluent's TopicRecordNameStrategy. */
export function subjectOf(topic: string, record: RecordName): string {
  return `${topic}-${namespace}.${record}`;
}

type Reader = {
  readonly name: RecordName;
  /** Written with this build's own schema of the record. */
  readonly own: boolean;
  readonly read: (bytes: Buffer) => unknown;
};

const magic = 0;
/** Bytes before the Avro of a record. */
export const header = 5;

/**
 * Records ↔ Confluent wire format: byte 0, schema id (int32 big endian), Avro. Encoding and
 * decoding are synchronous once {@link prepare} and {@link learn} have asked for the ids.
 */
export type Codec = {
  /** Registers the records of a topic so that `encode` can write them. */
  prepare(topic: string, records: readonly RecordName[]): Promise<void>;
  /** Bytes of a record; throws `record-invalid` naming the field that does not fit the schema. */
  encode(topic: string, record: Tagged): Buffer;
  /** The record, or undefined when its schema id has to be learnt first. */
  decode(bytes: Buffer): Tagged | undefined;
  /** Whether the bytes are such a record in this build's own schema; undefined: not learnt yet. */
  isOwn(name: RecordName, bytes: Buffer): boolean | undefined;
  /** Looks the schema id of these bytes up, once for all who ask at the same time. */
  learn(bytes: Buffer): Promise<void>;
};

export function createCodec(ids: SchemaIds): Codec {
  const writers = new Map<string, number>();
  const readers = new Map<number, Reader>();
  let scratch = Buffer.allocUnsafe(64 * 1024);

  function write(record: Tagged, id: number): Buffer {
    const { type } = bundled[record.type];
    let end = type.encode(record.value, scratch, header);
    if (end < 0) {
      scratch = Buffer.allocUnsafe(Math.max(scratch.length * 2, scratch.length - end + header));
      end = type.encode(record.value, scratch, header);
    }
    scratch[0] = magic;
    scratch.writeInt32BE(id, 1);
    return Buffer.from(scratch.subarray(0, end));
  }

  return {
    async prepare(topic, records) {
      for (const name of records) {
        const subject = subjectOf(topic, name);
        if (writers.has(subject)) continue;
        const id = await ids.idOf(subject, bundled[name].text);
        writers.set(subject, id);
        const read = (bytes: Buffer) => readOwn(bundled[name].type, bytes);
        readers.set(id, { name, own: true, read });
      }
    },

    encode(topic, record) {
      const id = writers.get(subjectOf(topic, record.type));
      if (id === undefined) throw new Error(`codec not prepared for ${record.type} on ${topic}`);
      try {
        return write(record, id);
      } catch (error) {
        throw invalid(record, error);
      }
    },

    decode(bytes) {
      const reader = readers.get(schemaIdOf(bytes));
      if (reader === undefined) return undefined;
      return { type: reader.name, value: reader.read(bytes) } as Tagged;
    },

    isOwn(name, bytes) {
      const reader = readers.get(schemaIdOf(bytes));
      return reader === undefined ? undefined : reader.own && reader.name === name;
    },

    async learn(bytes) {
      const id = schemaIdOf(bytes);
      if (!readers.has(id)) readers.set(id, readerFor(await ids.schemaOf(id), id));
    },
  };
}

/** Schema id of a record in wire format; throws `record-malformed` when it is none. */
export function schemaIdOf(bytes: Buffer): number {
  if (bytes.length < header) {
    throw new LightningError(
      "record-malformed",
      `value has ${bytes.length} bytes, a record has at least ${header}`,
    );
  }
  if (bytes[0] !== magic) {
    throw new LightningError(
      "record-malformed",
      `first byte is ${bytes[0]}, must be ${magic} (Confluent wire format)`,
    );
  }
  return bytes.readInt32BE(1);
}

function readerFor(text: string, id: number): Reader {
  let writer: avro.Type;
  try {
    writer = avro.Type.forSchema(JSON.parse(text), { wrapUnions: false });
  } catch (error) {
    throw new LightningError("schema-unknown", `schema ${id} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const name = (writer.name ?? "").replace(`${namespace}.`, "") as RecordName;
  const own = bundled[name];
  if (own === undefined) {
    throw new LightningError(
      "schema-unknown",
      `schema ${id} is ${writer.name}, which this build does not read`,
    );
  }
  if (text === own.text) return { name, own: true, read: (bytes) => readOwn(own.type, bytes) };
  const resolver = own.type.createResolver(writer);
  return { name, own: false, read: (bytes) => readOwn(own.type, bytes, resolver) };
}

function readOwn(type: avro.Type, bytes: Buffer, resolver?: unknown): unknown {
  let decoded: { value: unknown; offset: number };
  try {
    decoded = type.decode(bytes, header, resolver as never);
  } catch (error) {
    throw new LightningError("record-malformed", `Avro of ${type.name}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (decoded.offset !== bytes.length) {
    const what =
      decoded.offset < 0 ? "is cut short" : `has ${bytes.length - decoded.offset} bytes too many`;
    throw new LightningError("record-malformed", `Avro of ${type.name} ${what}`);
  }
  return decoded.value;
}

function invalid(record: Tagged, cause: unknown): LightningError {
  let field = "";
  bundled[record.type].type.isValid(record.value, {
    errorHook: (path, value, type) => {
      if (field === "") field = `${path.join(".")}: read ${shorten(value)}, allowed is ${type}`;
    },
  });
  const what = field === "" ? messageOf(cause) : field;
  return new LightningError("record-invalid", `${record.type}.${what}`, { cause });
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
