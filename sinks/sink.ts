import type { Tagged } from "../schemas/records.ts";
import type { TopicName } from "../schemas/topics.ts";

/** A record as a sink sees it; a null record is a tombstone. */
export type Delivered = {
  readonly record: Tagged | null;
  readonly key: string;
  readonly offset: number;
  /** Kafka timestamp, ms since epoch. */
  readonly timestamp: number;
};

/**
 * Records of one partition, in order. The boundaries are the same on every redelivery: they were
 * written to the log before the first delivery, so a token made of them names the same rows.
 */
export type Delivery = {
  readonly topic: TopicName | string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: readonly Delivered[];
};

/**
 * Kafka → world. Writing the same delivery twice must be invisible; the offset commits after the
 * write. Throws a LightningError: `row-refused` with `fields.offset` for one bad record, a `retry`
 * code when the world is down.
 */
export type Sink = {
  readonly name: string;
  readonly reads: readonly (TopicName | string)[];
  write(delivery: Delivery): Promise<void>;
};
