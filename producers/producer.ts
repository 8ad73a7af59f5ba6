import type { RecordName, Tagged } from "../schemas/records.ts";
import type { TopicName } from "../schemas/topics.ts";

/** A record to append to the log. */
export type Produced<Out extends RecordName = RecordName> = Tagged<Out> & {
  readonly topic: TopicName;
  readonly key: string;
};

/**
 * World → Kafka. Resolves when every record is durable (acks=all), in the order given. Calls made
 * at the same time share requests to the broker. Throws LightningError: `kafka-unavailable` when
 * the broker did not answer in time, `too-large` when a record is beyond the limit.
 */
export type Append = (records: readonly Produced[]) => Promise<void>;
