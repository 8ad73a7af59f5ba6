import type { TransitionRecorded } from "../../../schemas/types.ts";
import type { FileColumn } from "../../../sinks/clickhouse/queries-export.ts";

/** A field of an exported record. */
export type Column = FileColumn & {
  readonly doc: string;
  /** A JSON value of any shape: as it is in JSONL, as JSON text in Parquet. */
  readonly json?: true;
};

/** How records are shaped; each kind reads what concerns it. */
export type Shape = {
  readonly level: "transition" | "trajectory";
  readonly style: "verl" | "trl";
  /** Most pairs of a group. */
  readonly pairs: number;
  /** Smallest difference of rewards within a pair; above 0. */
  readonly margin: number;
  /** Whether messages and preferences say where they come from. */
  readonly provenance: boolean;
};

export type ExportRecord = Readonly<Record<string, unknown>>;

/** Records of one group, and how many were left out, by reason. */
export type Shaped = {
  readonly records: readonly ExportRecord[];
  readonly skipped: Readonly<Record<string, number>>;
};

/** What can be exported. */
export type Kind = {
  /** One line. */
  readonly doc: string;
  columns(shape: Shape): readonly Column[];
  /** @param group the transitions of one group that the filter wants, by rollout and step. */
  recordsOf(group: readonly TransitionRecorded[], shape: Shape): Shaped;
};

/** Where a record comes from, for all kinds. */
export const sourceColumns: readonly Column[] = [
  { name: "source_topic", sql: "String", doc: "Kafka topic of its spans" },
  { name: "source_partition", sql: "Int32", doc: "partition in it" },
  { name: "source_first_offset", sql: "Int64", doc: "offset of its first span" },
  { name: "source_last_offset", sql: "Int64", doc: "offset of the mark that ended the attempt" },
];

/** The values of {@link sourceColumns}. */
export function sourceOf({ provenance }: Pick<TransitionRecorded, "provenance">): ExportRecord {
  return {
    source_topic: provenance.topic,
    source_partition: provenance.partition,
    source_first_offset: provenance.first_offset,
    source_last_offset: provenance.last_offset,
  };
}

/** The columns of a credit strategy, and their values. */
export const creditColumns: readonly Column[] = [
  { name: "credit_strategy", sql: "String", doc: "strategy that assigned the credit" },
  { name: "credit_parameters", sql: "Map(String, Float64)", doc: "its numbers" },
  { name: "credit_options", sql: "Map(String, String)", doc: "its words" },
];

export function creditOf({ credit }: Pick<TransitionRecorded, "credit">): ExportRecord {
  return {
    credit_strategy: credit.strategy,
    credit_parameters: credit.parameters,
    credit_options: credit.options,
  };
}

/** A time of the log, µs since epoch, as ISO 8601 text in UTC with all its digits. */
export function timeText(micros: number): string {
  const rest = ((micros % 1000) + 1000) % 1000;
  const text = new Date((micros - rest) / 1000).toISOString();
  return `${text.slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}

/** The value of a JSON text, or null where it is none. */
export function jsonOf(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The members of each rollout, which stand together. */
export function byRollout(group: readonly TransitionRecorded[]): TransitionRecorded[][] {
  const rollouts = new Map<string, TransitionRecorded[]>();
  for (const transition of group) {
    const known = rollouts.get(transition.rollout_id);
    if (known === undefined) rollouts.set(transition.rollout_id, [transition]);
    else known.push(transition);
  }
  return [...rollouts.values()];
}
