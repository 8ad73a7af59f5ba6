import { parseArgs } from "node:util";
import { assembleRollouts } from "../../processors/assemble-rollouts.ts";
import { assignCredit } from "../../processors/assign-credit.ts";
import { trackRollouts } from "../../processors/track-rollouts.ts";
import { deadLettersOf } from "../../schemas/topics.ts";
import { reads as clickHouseReads } from "../../sinks/clickhouse/sink.ts";
import { configWithAddresses, defaultDataDir } from "../addresses.ts";
import type { PartitionOffsets } from "../kafka/admin.ts";
import type { KafkaClient } from "../kafka/client.ts";
import {
  describeGroups,
  describeTopics,
  endOffsets,
  existingTopics,
  type GroupFacts,
} from "../kafka/inspect.ts";
import { countUnread, type Unread } from "../kafka/scan.ts";
import { readers } from "../roles.ts";
import { trainerName } from "../run-trainer.ts";
import {
  type Command,
  connectKafka,
  dataOption,
  dataUsage,
  print,
  remark,
  wrongUse,
} from "./command.ts";
import { type Cell, formatTable } from "./table.ts";

/** `lightning lag`. */
export const lagCommand: Command = {
  doc: "how far each reader is behind, in records, by partition",
  usage: `lightning lag [READER…] [--json] [--data DIR]

  READER           ${readers.map(({ name }) => name).join(", ")}; all of them unless named
  --json           one JSON array
${dataUsage}

position is the first offset a reader has not committed, end the first that does not exist yet.
Their difference is no lag: transaction markers occupy offsets. lag counts the records between them
by reading them, up to 8 MiB a partition; "at most" stands where there are more. For the trainer it
counts what is not trained yet, which includes what is leased now.`,
  run,
};

/** What each reader reads. */
const inputs: Readonly<Record<string, readonly string[]>> = {
  [trackRollouts.name]: [trackRollouts.reads],
  [assembleRollouts.name]: [assembleRollouts.reads],
  [assignCredit.name]: [assignCredit.reads],
  clickhouse: [...clickHouseReads, ...readers.map(({ name }) => deadLettersOf(name))],
  [trainerName]: ["transitions"],
};

async function run(args: readonly string[]): Promise<void> {
  const { values: options, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...dataOption, json: { type: "boolean" } },
  });
  const names = chosenReaders(positionals);
  const client = await connectKafka(configWithAddresses(options.data ?? defaultDataDir));
  const lags = await measureLags(client, names);
  if (options.json === true) return print(JSON.stringify(lags, undefined, 2));
  const headings = ["reader", "topic", "partition", "position", "end", "lag", "remark"];
  print(formatTable(headings, lags.map(cellsOf)));
  const idle = names.filter((name) => lags.every((l) => l.reader !== name || l.members === 0));
  if (idle.length > 0) {
    remark(`\nnobody runs ${idle.join(", ")} now: lightning ${idle.join(" ")} does`);
  }
}

/** @throws LightningError `request-invalid` for a name that is no reader's. */
export function chosenReaders(wanted: readonly string[]): string[] {
  const all = readers.map(({ name }) => name);
  const unknown = wanted.find((name) => !all.includes(name));
  if (unknown !== undefined) {
    throw wrongUse("lag", `reader is ${JSON.stringify(unknown)}, allowed are ${all.join(", ")}`);
  }
  return wanted.length === 0 ? all : all.filter((name) => wanted.includes(name));
}

/** Where one reader stands in one partition. */
export type PartitionLag = {
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  /** First offset not committed; null before the first commit. */
  readonly position: number | null;
  readonly end: number;
  /** Records between them; when not `exact`, at most so many. */
  readonly lag: number;
  readonly exact: boolean;
  /** Offsets an open transaction holds back from every reader. */
  readonly held_back: number;
  /** Unread offsets that retention has removed. */
  readonly lost: number;
  /** Processes in the reader's group now. */
  readonly members: number;
};

type Place = Pick<PartitionLag, "reader" | "topic" | "members"> & {
  readonly offsets: PartitionOffsets;
  readonly position: number | null;
};

/** Readers counted at the same time: each has a connection of its own. */
const parallel = 4;

async function measureLags(client: KafkaClient, names: readonly string[]): Promise<PartitionLag[]> {
  const reading = names.map((name) => ({ name, topics: inputs[name] ?? [] }));
  const wanted = [...new Set(reading.flatMap(({ topics }) => topics))];
  const existing = await existingTopics(client, wanted);
  const groups = await describeGroups(
    client,
    reading.map(({ name, topics }) => ({
      name,
      topics: topics.filter((topic) => existing.includes(topic)),
    })),
  );
  // Ends are taken after the positions: a position beyond its end would be a lie about both.
  const found = await describeTopics(client, existing);
  const ends = await endOffsets(client, existing);
  const offsets = new Map(
    found.map(({ name, partitions }) => [
      name,
      partitions.map((p) => ({ ...p, latest: ends.get(`${name}/${p.partition}`) ?? p.latest })),
    ]),
  );
  const places = reading.flatMap(({ name, topics }) =>
    topics.flatMap((topic) =>
      (offsets.get(topic) ?? []).map((range) => placeOf(name, topic, range, groups.get(name))),
    ),
  );
  const lags: PartitionLag[] = [];
  for (let at = 0; at < places.length; at += parallel) {
    const part = places.slice(at, at + parallel);
    lags.push(...(await Promise.all(part.map((place) => measure(client, place)))));
  }
  return lags;
}

function placeOf(
  reader: string,
  topic: string,
  offsets: PartitionOffsets,
  group: GroupFacts | undefined,
): Place {
  const position = group?.positions.get(`${topic}/${offsets.partition}`) ?? null;
  return { reader, topic, offsets, position, members: group?.members ?? 0 };
}

async function measure(client: KafkaClient, place: Place): Promise<PartitionLag> {
  const { topic, offsets } = place;
  const range = unreadRange(offsets, place.position);
  const unread = await countUnread(client, { topic, partition: offsets.partition, ...range });
  return lagOf(place, unread);
}

/** Offsets a reader has before it, of those that exist; a reader without a position starts at 0. */
export function unreadRange(
  { earliest, latest }: PartitionOffsets,
  position: number | null,
): { from: number; to: number } {
  return { from: Math.max(position ?? 0, earliest), to: latest };
}

/** The lag of a place, once what lies before it is counted. */
export function lagOf(place: Place, unread: Unread): PartitionLag {
  const { reader, topic, offsets, position, members } = place;
  return {
    reader,
    topic,
    partition: offsets.partition,
    position,
    end: offsets.latest,
    lag: unread.records,
    exact: unread.exact,
    held_back: unread.heldBack,
    lost: Math.max(0, offsets.earliest - (position ?? 0)),
    members,
  };
}

function cellsOf(lag: PartitionLag): Cell[] {
  const remarks = [
    lag.exact ? "" : "at most",
    lag.held_back > 0 ? `${lag.held_back} offsets wait for an open transaction` : "",
    lag.position === null && lag.end > 0 ? "nothing committed yet" : "",
    lag.lost > 0 ? `retention removed ${lag.lost} unread offsets` : "",
  ].filter((text) => text !== "");
  const { reader, topic, partition, position, end } = lag;
  return [reader, topic, partition, position, end, lag.lag, remarks.join("; ")];
}
