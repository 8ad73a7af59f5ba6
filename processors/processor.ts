import type { RecordName, Tagged } from "../schemas/records.ts";
import type { TopicName } from "../schemas/topics.ts";

/** Where a record stands, and its Kafka timestamp (log append time, ms since epoch). */
export type Place = {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
};

/** A record as a processor sees it. */
export type Event<In extends RecordName> = Tagged<In> & {
  readonly key: string;
  readonly at: Place;
};

/** A key's `wakeAt` is due. Time is an event: it comes in log order, see infra/run-processor.ts. */
export type Tick = { readonly type: "Tick"; readonly key: string; readonly at: Place };

/** A record to send; a null value is a tombstone on a compacted topic. */
export type Emitted<Out extends RecordName> =
  | (Tagged<Out> & { readonly topic: TopicName; readonly key: string })
  | { readonly type: null; readonly value: null; readonly topic: TopicName; readonly key: string };

/**
 * What one event changes. A key's state is a small table of rows, so that a long rollout costs one
 * changelog record per new row and not its whole history at each commit.
 */
export type Step<Row extends RecordName, Out extends RecordName> = {
  /** Rows to write, by row id. */
  readonly put?: readonly (readonly [string, Tagged<Row>])[];
  /** Rows to delete; `all` first empties the key. A key without rows and timer is gone. */
  readonly drop?: "all" | readonly string[];
  readonly emit?: readonly Emitted<Out>[];
  /** When to be woken, ms since epoch; null: never; absent: as before. */
  readonly wakeAt?: number | null;
};

/**
 * A processor is a value with one pure function. Group, changelog, transactional ids and metric
 * labels derive from its name. `step` must not look at anything but its arguments.
 */
export type Processor<
  In extends RecordName = RecordName,
  Row extends RecordName = RecordName,
  Out extends RecordName = RecordName,
> = {
  readonly name: string;
  readonly reads: TopicName;
  readonly writes: readonly TopicName[];
  readonly rows: readonly RecordName[];
  step(rows: ReadonlyMap<string, Tagged<Row>>, event: Event<In> | Tick): Step<Row, Out>;
};
