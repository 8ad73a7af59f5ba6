import { changelogOf, type TopicName } from "../../schemas/topics.ts";
import { topicOffsets } from "../kafka/admin.ts";
import { openReader } from "../kafka/reader.ts";
import { decodeAll, type Runtime } from "../runtime.ts";
import { createWatermark, type Watermark } from "../watermark.ts";
import { openLogEnds } from "./log-ends.ts";

/** How far a sink has written the log away. */
export type SinkPositions = {
  /** First offset of a partition that the sink has not written yet. */
  of(topic: TopicName, partition: number): Watermark;
  /** Largest log time (ms) the sink has met on a topic; -Infinity: none. */
  timeOf(topic: TopicName): number;
  close(): Promise<void>;
};

/**
 * Follows the positions a sink commits to its changelog, from those that stand there: when it
 * resolves, they are as new as the call.
 */
export async function followSinkPositions(
  runtime: Runtime,
  sink: string,
  onError: (error: Error) => void,
): Promise<SinkPositions> {
  const { client, codec } = runtime;
  const topic = changelogOf(sink);
  const marks = new Map<string, Watermark>();
  const times = new Map<string, number>();
  const [log] = await topicOffsets(client, topic);
  const ends = openLogEnds(client, topic, "committed");
  const end = (await ends.now()).get(0) ?? 0;
  await ends.close();
  const reader = openReader(client, { topic, partition: 0, from: log?.earliest ?? 0 });

  function markOf(slot: string): Watermark {
    const found = marks.get(slot) ?? createWatermark(0);
    marks.set(slot, found);
    return found;
  }

  async function follow(caughtUp: () => void): Promise<void> {
    for (let fetched = await reader.next(); fetched !== undefined; fetched = await reader.next()) {
      for (const decoded of await decodeAll(codec, fetched.records)) {
        if ("refused" in decoded || decoded.record?.type !== "PositionReached") continue;
        const { next_offset, stream_time } = decoded.record.value;
        const slot = slotIn(decoded.key);
        markOf(slot).advance(next_offset);
        const name = slot.slice(0, slot.lastIndexOf("/"));
        times.set(name, Math.max(times.get(name) ?? Number.NEGATIVE_INFINITY, stream_time));
      }
      if (fetched.nextOffset >= end) caughtUp();
    }
  }

  await codec.prepare(topic, ["PositionReached"]);
  await new Promise<void>((resolve, reject) => {
    follow(resolve).catch((error) => {
      reject(error);
      onError(error);
    });
  });
  return {
    of: (name, partition) => markOf(`${name}/${partition}`),
    timeOf: (name) => times.get(name) ?? Number.NEGATIVE_INFINITY,
    close: () => reader.close(),
  };
}

/** The `topic/partition` at the end of a position's key, see changelog.ts. */
function slotIn(key: string): string {
  return key.slice(key.lastIndexOf("\u0000") + 1);
}
