/**
 * Number lists as they travel: little endian, packed, so that `numpy.frombuffer` reads them and no
 * number costs an Avro item.
 */

/** Little-endian int32 of token ids; throws RangeError for what is no 32-bit integer. */
export function packInt32(values: ArrayLike<number>): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (let i = 0; i < values.length; i++) bytes.writeInt32LE(values[i] ?? 0, i * 4);
  return bytes;
}

/** Little-endian float32, for log-probs. */
export function packFloat32(values: ArrayLike<number>): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (let i = 0; i < values.length; i++) bytes.writeFloatLE(values[i] ?? 0, i * 4);
  return bytes;
}

/** Little-endian float64. */
export function packFloat64(values: ArrayLike<number>): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 8);
  for (let i = 0; i < values.length; i++) bytes.writeDoubleLE(values[i] ?? 0, i * 8);
  return bytes;
}

/** The numbers of {@link packInt32}; throws RangeError when the length is no multiple of 4. */
export function unpackInt32(bytes: Uint8Array): Int32Array {
  return new Int32Array(aligned(bytes, 4));
}

/** The numbers of {@link packFloat32}. */
export function unpackFloat32(bytes: Uint8Array): Float32Array {
  return new Float32Array(aligned(bytes, 4));
}

/** The numbers of {@link packFloat64}. */
export function unpackFloat64(bytes: Uint8Array): Float64Array {
  return new Float64Array(aligned(bytes, 8));
}

/** A copy that starts at a multiple of the item size; every machine Node runs on is little endian. */
function aligned(bytes: Uint8Array, size: number): ArrayBuffer {
  if (bytes.length % size !== 0) {
    throw new RangeError(`packed list of ${size}-byte items has ${bytes.length} bytes`);
  }
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}

/**
 * A copy in memory of its own, for what stays: small buffers, and those of a fetch, are pieces of
 * larger ones, all of which a piece keeps alive.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** An empty list; a Buffer, because Avro writes no other byte array. */
export const noBytes: Uint8Array = Buffer.alloc(0);
