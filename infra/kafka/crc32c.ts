/** CRC-32C (Castagnoli), eight bytes a turn: about four times as fast as byte by byte. */
const polynomial = 0x82f63b78;

const tables: readonly Int32Array[] = makeTables();

function makeTables(): Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    first[byte] = crc;
  }
  const all = [first];
  for (let n = 1; n < 8; n++) {
    const before = all[n - 1] ?? first;
    all.push(before.map((crc) => (crc >>> 8) ^ (first[crc & 255] ?? 0)));
  }
  return all;
}

const empty = new Int32Array(256);
const [
  t0 = empty,
  t1 = empty,
  t2 = empty,
  t3 = empty,
  t4 = empty,
  t5 = empty,
  t6 = empty,
  t7 = empty,
] = tables;

/** The checksum of the bytes from an index on, as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, from = 0): number {
  let crc = -1;
  let at = from;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low =
      crc ^
      ((bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24));
    crc =
      (t7[low & 255] ?? 0) ^
      (t6[(low >>> 8) & 255] ?? 0) ^
      (t5[(low >>> 16) & 255] ?? 0) ^
      (t4[low >>> 24] ?? 0) ^
      (t3[bytes[at + 4] ?? 0] ?? 0) ^
      (t2[bytes[at + 5] ?? 0] ?? 0) ^
      (t1[bytes[at + 6] ?? 0] ?? 0) ^
      (t0[bytes[at + 7] ?? 0] ?? 0);
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at] ?? 0)) & 255] ?? 0);
  return ~crc >>> 0;
}
