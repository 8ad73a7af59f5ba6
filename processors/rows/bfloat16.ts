const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * The number as a bfloat16 has it: the upper half of the float32, rounded to the nearest, ties to
 * even. The reference stores rewards so (0.7 becomes 0.69921875); ours stay float64 unless asked.
 */
export function toBfloat16(value: number): number {
  float[0] = value;
  if (Number.isNaN(value)) return value;
  const word = bits[0] ?? 0;
  bits[0] = ((word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000) >>> 0;
  return float[0] ?? value;
}
