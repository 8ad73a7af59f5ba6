import { LightningError } from "../schemas/errors.ts";
import { topicOffsets } from "./kafka/admin.ts";
import type { Runtime } from "./runtime.ts";

/** A reader's input partition. */
export type Input = { readonly reader: string; readonly topic: string; readonly partition: number };

/**
 * The offset a reader goes on from when it takes a partition over: its position, where the log
 * still has it. A reader that never was here begins with the earliest record there is.
 *
 * @param position the first offset it has not committed; undefined when it never committed.
 * @throws LightningError `data-lost` when records between its position and the log are gone, unless
 *   LIGHTNING_ACCEPT_DATA_LOSS says to go on behind the gap.
 */
export async function inputPosition(
  runtime: Pick<Runtime, "client" | "logger" | "acceptDataLoss">,
  { reader, topic, partition }: Input,
  position: number | undefined,
): Promise<number> {
  const offsets = await topicOffsets(runtime.client, topic);
  const { earliest, latest } = offsets.find((one) => one.partition === partition) ?? {
    earliest: 0,
    latest: 0,
  };
  if (position === undefined) return earliest;
  if (position >= earliest && position <= latest) return position;
  const fields = { reader, topic, partition, position, earliest, latest };
  const what =
    position < earliest
      ? `${topic}/${partition}: ${reader} has read up to offset ${position}, retention removed everything before ${earliest}`
      : `${topic}/${partition}: ${reader} has read up to offset ${position}, the log ends at ${latest}: it was made anew or lost its end`;
  if (!runtime.acceptDataLoss) {
    throw new LightningError(
      "data-lost",
      `${what}; LIGHTNING_ACCEPT_DATA_LOSS=true goes on at ${earliest}`,
      fields,
    );
  }
  runtime.logger.error(fields, "records lost before they were read, going on behind the gap");
  return earliest;
}
