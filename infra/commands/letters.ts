import type { Codec } from "../../schemas/codec.ts";
import { codeOf, LightningError } from "../../schemas/errors.ts";
import type { Tagged } from "../../schemas/records.ts";
import { deadLettersOf, type TopicSpec, topics } from "../../schemas/topics.ts";
import type { DeadLettered } from "../../schemas/types.ts";
import type { KafkaClient } from "../kafka/client.ts";
import { describeTopics } from "../kafka/inspect.ts";
import { scan } from "../kafka/scan.ts";

/** A record of a reader's dead-letter topic. */
export type Letter = {
  readonly offset: number;
  /** ms since epoch. */
  readonly timestamp: number;
  /** Null when these bytes are no dead letter: somebody else wrote them there. */
  readonly letter: DeadLettered | null;
  readonly bytes: Buffer;
};

/**
 * The dead letters of a reader that stand there now, oldest first; none when the topic does not
 * exist.
 *
 * @throws LightningError `registry-unavailable` when their schema must be asked for and cannot be.
 */
export async function* lettersOf(
  client: KafkaClient,
  codec: Codec,
  reader: string,
  from = 0,
): AsyncGenerator<Letter> {
  const topic = deadLettersOf(reader);
  const [facts] = await describeTopics(client, [topic]);
  // Our own schema, registered by whoever wrote a letter: without any, nothing is registered here.
  if (facts?.partitions.some((p) => p.latest > p.earliest) === true)
    await codec.prepare(topic, ["DeadLettered"]);
  for (const { partition, earliest, latest } of facts?.partitions ?? []) {
    const range = { topic, partition, from: Math.max(from, earliest), to: latest };
    for await (const { records } of scan(client, range)) {
      for (const { offset, timestamp, value } of records) {
        const bytes = value ?? Buffer.alloc(0);
        const record = await readRecord(codec, bytes);
        const letter = record?.type === "DeadLettered" ? record.value : null;
        yield { offset, timestamp, letter, bytes };
      }
    }
  }
}

/** The record in these bytes; null when they are none that this build can read. */
export async function readRecord(codec: Codec, bytes: Buffer): Promise<Tagged | null> {
  try {
    const known = codec.decode(bytes);
    if (known !== undefined) return known;
    await codec.learn(bytes);
    return codec.decode(bytes) ?? null;
  } catch (error) {
    if (error instanceof LightningError && error.reaction === "dead-letter") return null;
    throw error;
  }
}

/**
 * The record a letter holds; null when it cannot be decoded, or the registry cannot be asked: its
 * bytes can be shown all the same.
 */
export async function recordIn(codec: Codec, letter: DeadLettered | null): Promise<Tagged | null> {
  if (letter === null || letter.value === null) return null;
  const spec = (topics as Readonly<Record<string, TopicSpec>>)[letter.topic];
  try {
    if (spec !== undefined) await codec.prepare(spec.name, spec.records);
    return await readRecord(codec, Buffer.from(letter.value));
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return null;
  }
}
