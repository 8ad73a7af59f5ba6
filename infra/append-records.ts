import type { Append } from "../producers/producer.ts";
import type { Codec } from "../schemas/codec.ts";
import { LightningError } from "../schemas/errors.ts";
import { maxRecordBytes } from "../schemas/topics.ts";
import type { Appender } from "./kafka/append.ts";
import type { Metrics } from "./metrics.ts";

/** What a record may weigh besides its value: batch header, key, headers. */
const overheadBytes = 64 * 1024;

/** Records of ours onto the log: encodes, refuses what the topic would, shares requests. */
export function createAppend(
  codec: Codec,
  appender: Appender,
  metrics: Pick<Metrics, "recordBytes">,
): Append {
  return async (records) => {
    const outgoing = records.map((record) => {
      const value = codec.encode(record.topic, record);
      metrics.recordBytes.observe({ topic: record.topic }, value.length);
      if (value.length > maxRecordBytes - overheadBytes) {
        throw new LightningError(
          "too-large",
          `${record.type} for ${record.key} has ${value.length} bytes, at most ${maxRecordBytes - overheadBytes} fit into a record`,
          { bytes: value.length },
        );
      }
      return { topic: record.topic, key: record.key, value };
    });
    await appender.append(outgoing);
  };
}
