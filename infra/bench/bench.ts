import type { Stack, StackOptions } from "./stack.ts";

/** A table of results; the first column says what was measured. */
export type Table = {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What a reader must know to read the numbers right. */
  readonly notes: readonly string[];
};

export type BenchContext = {
  /** Smaller counts, one run: to see that everything works, not to quote. */
  readonly quick: boolean;
  /** A line of progress for whoever waits. */
  say(line: string): void;
  /** A stack of its own for the bench: broker, ClickHouse, registry; closed by the bench. */
  stack(options?: StackOptions): Promise<Stack>;
};

/** One bench: a section of RESULTS.md. */
export type Bench = {
  readonly name: string;
  readonly doc: string;
  run(context: BenchContext): Promise<readonly Table[]>;
};

/** The value below which the share `q` of the values lies, by nearest rank; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** `median [least–most]`, or the value itself when there is one. */
export function spread(values: readonly number[], digits = 0): string {
  const text = (value: number): string => amount(value, digits);
  if (values.length <= 1) return text(median(values));
  return `${text(median(values))} [${text(Math.min(...values))}–${text(Math.max(...values))}]`;
}

/** A number as people read it: 12,345 or 1.23. */
export function amount(value: number, digits = 0): string {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
