import type { Tagged } from "../../../schemas/records.ts";
import type { Delivered, Delivery } from "../../sink.ts";

/** A delivery of these records from partition 0, from `first` on. */
export function delivery(topic: string, records: readonly Tagged[], first = 0): Delivery {
  const delivered = records.map((record, i): Delivered => {
    return { record, key: "default/ro-1", offset: first + i, timestamp: 1_790_000_000_123 };
  });
  const lastOffset = first + records.length - 1;
  return { topic, partition: 0, firstOffset: first, lastOffset, records: delivered };
}
