/** What the numerics run on: weights are float32, intermediate results float64. */
export type Vector = Float32Array | Float64Array;

/** Inner product of `length` numbers of `a` from `aAt` and of `b` from `bAt`. */
export function dot(a: Vector, aAt: number, b: Vector, bAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[aAt + i] ?? 0) * (b[bAt + i] ?? 0);
  return sum;
}

/** `to[toAt…] += scale × from[fromAt…]`, `length` numbers. */
export function addScaled(
  to: Vector,
  toAt: number,
  scale: number,
  from: Vector,
  fromAt: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) {
    to[toAt + i] = (to[toAt + i] ?? 0) + scale * (from[fromAt + i] ?? 0);
  }
}
