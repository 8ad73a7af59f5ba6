import type { Parameters, Strategy } from "./strategy.ts";

/** Parameters of every strategy that divides by a standard deviation. */
export const spreadParameters: Strategy["parameters"] = {
  std: { default: 1, min: 0, max: 1, doc: "1 divides by the standard deviation, 0 does not." },
  epsilon: { default: 1e-6, min: 0, max: 1, doc: "Added to the standard deviation." },
};

/**
 * The mean; exactly the common value when all are equal, so that equal rewards give advantages of
 * exactly 0 and not of rounding errors blown up by a small standard deviation.
 */
export function meanOf(values: readonly number[]): number {
  const [first = 0] = values;
  if (values.every((value) => value === first)) return first;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sample standard deviation (n − 1); null with fewer than two values. */
export function sampleStdOf(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/**
 * Each value against the others: (v − mean) / (std + ε), or v − mean with `std` = 0. One value alone
 * is compared with nobody: mean 0 and std 1, as in verl, so that its reward is not wasted.
 */
export function relativeToMean(
  values: readonly number[],
  { std = 1, epsilon = 1e-6 }: Parameters,
): number[] {
  const deviation = sampleStdOf(values);
  const mean = deviation === null ? 0 : meanOf(values);
  // Equal values with ε = 0: 0 / 0 is meant to be 0.
  const scale = std === 0 ? 1 : (deviation ?? 1) + epsilon || 1;
  return values.map((value) => (value - mean) / scale);
}

/**
 * Each value against those of its part (`parts[i]` is the part of `values[i]`). Who is alone in its
 * part is 0, because it stands beside a group it cannot be compared with; with `keepAlone` it keeps
 * its value, as a group of one does.
 */
export function relativeWithinParts(
  parts: readonly string[],
  values: readonly number[],
  spread: Parameters,
  keepAlone: boolean,
): number[] {
  const relative = new Array<number>(values.length).fill(0);
  for (const indexes of indexesByPart(parts).values()) {
    if (indexes.length === 1 && !keepAlone) continue;
    const within = relativeToMean(
      indexes.map((i) => values[i] ?? 0),
      spread,
    );
    for (const [k, i] of indexes.entries()) relative[i] = within[k] ?? 0;
  }
  return relative;
}

/** Where each part occurs. */
export function indexesByPart(parts: readonly string[]): Map<string, number[]> {
  const indexes = new Map<string, number[]>();
  for (const [i, part] of parts.entries()) {
    const there = indexes.get(part);
    if (there === undefined) indexes.set(part, [i]);
    else there.push(i);
  }
  return indexes;
}
