import { LightningError, messageOf } from "../../schemas/errors.ts";

/**
 * The frame of both packed bodies: four letters, length of the header (uint32 little endian), the
 * header as JSON in UTF-8 (padded with spaces), then bytes.
 */
const prefix = 8;

/** Where the bytes after a header of this length start: at a multiple of 8. */
function bodyStart(headerBytes: number): number {
  return Math.ceil((prefix + headerBytes) / 8) * 8;
}

/** A frame: header, then the parts one after the other. */
export function writeFrame(magic: string, header: Buffer, parts: readonly Uint8Array[]): Buffer {
  const start = bodyStart(header.length);
  const head = Buffer.alloc(start, " ");
  head.write(magic, 0, "latin1");
  head.writeUInt32LE(start - prefix, 4);
  header.copy(head, prefix);
  return Buffer.concat([head, ...parts]);
}

/** Header and start of the bytes; throws `request-invalid` for what is no such frame. */
export function readFrame(
  magic: string,
  bytes: Buffer,
): { readonly header: unknown; readonly start: number } {
  const read = bytes.subarray(0, 4).toString("latin1");
  if (bytes.length < prefix || read !== magic) {
    throw refuse(`first bytes are ${JSON.stringify(read)}, must be "${magic}"`);
  }
  const length = bytes.readUInt32LE(4);
  if (prefix + length > bytes.length) {
    throw refuse(`header has ${length} bytes, the body only ${bytes.length - prefix}`);
  }
  try {
    const header: unknown = JSON.parse(bytes.subarray(prefix, prefix + length).toString("utf8"));
    return { header, start: prefix + length };
  } catch (error) {
    throw refuse(`header is not JSON: ${messageOf(error)}`, error);
  }
}

function refuse(what: string, cause?: unknown): LightningError {
  return new LightningError("request-invalid", `body: ${what}`, { cause, field: "body" });
}
