import { bundled, recordNames, type Tagged } from "./records.ts";

/** Bytes before the parts of a row: its type's number, the length of its id, the length of its Avro. */
const headBytes = 10;

/**
 * Rows with their ids, as bytes. What is kept for long and looked at rarely is kept so: as objects a
 * record is two dozen things that the garbage collector visits again and again.
 */
export function packRows(rows: Iterable<readonly [string, Tagged]>): Buffer {
  const parts: Buffer[] = [];
  for (const [id, { type, value }] of rows) {
    const name = Buffer.from(id, "utf8");
    const avro = bundled[type].type.toBuffer(value);
    const head = Buffer.allocUnsafe(headBytes);
    head.writeUInt16LE(recordNames.indexOf(type), 0);
    head.writeUInt32LE(name.length, 2);
    head.writeUInt32LE(avro.length, 6);
    parts.push(head, name, avro);
  }
  return Buffer.concat(parts);
}

/** The rows of {@link packRows}, in their order. */
export function unpackRows(packed: Buffer): [string, Tagged][] {
  const rows: [string, Tagged][] = [];
  for (let at = 0; at < packed.length; ) {
    const name = at + headBytes;
    const avro = name + packed.readUInt32LE(at + 2);
    const end = avro + packed.readUInt32LE(at + 6);
    const type = recordNames[packed.readUInt16LE(at)];
    if (type === undefined) throw new Error(`packed row of no type at byte ${at}`);
    const value = bundled[type].type.fromBuffer(packed.subarray(avro, end));
    rows.push([packed.toString("utf8", name, avro), { type, value } as Tagged]);
    at = end;
  }
  return rows;
}
