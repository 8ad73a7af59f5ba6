import type { Append, Produced } from "../producers/producer.ts";
import type { Codec } from "../schemas/codec.ts";
import { LightningError } from "../schemas/errors.ts";
import { maxValueBytes } from "../schemas/topics.ts";
import type { Appender, Written } from "./kafka/append.ts";

/** As `Append`, and says where each record stands. */
export type AppendAt = (records: readonly Produced[]) => Promise<readonly Written[]>;

/** Records of ours onto the log, where nobody asks for their places. */
export function createAppend(...parts: Parameters<typeof createAppendAt>): Append {
  const append = createAppendAt(...parts);
  return async (records) => {
    await append(records);
  };
}

/** Records of ours onto the log: encodes, refuses what the topic would, shares requests. */
export function createAppendAt(codec: Codec, appender: Appender): AppendAt {
  return async (records) => {
    const outgoing = records.map((record) => {
      const value = codec.encode(record.topic, record);
      if (value.length > maxValueBytes) {
        throw new LightningError(
          "too-large",
          `${record.type} for ${record.key} has ${value.length} bytes, at most ${maxValueBytes} fit into a record`,
          { bytes: value.length },
        );
      }
      return { topic: record.topic, key: record.key, value };
    });
    return appender.append(outgoing);
  };
}
