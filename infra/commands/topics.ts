import { parseArgs } from "node:util";
import { changelogOf, deadLettersOf, type TopicSpec, topics } from "../../schemas/topics.ts";
import { configWithAddresses, defaultDataDir } from "../addresses.ts";
import { ensureTopics, planTopics, type TopicPlan } from "../kafka/admin.ts";
import { describeTopics, type TopicFacts } from "../kafka/inspect.ts";
import { partitionCounts, readers } from "../roles.ts";
import { type Command, connectKafka, dataOption, dataUsage, print, remark } from "./command.ts";
import { type Cell, formatTable } from "./table.ts";

/** `lightning topics`. */
export const topicsCommand: Command = {
  doc: "every topic: partitions, policy, how much is in it, what it holds",
  usage: `lightning topics [--create] [--json] [--data DIR]

  --create         make the topics that are missing
  --json           one JSON array
${dataUsage}

"records, at most" counts offsets: transaction markers and compacted records occupy some.`,
  run,
};

async function run(args: readonly string[]): Promise<void> {
  const { values: options } = parseArgs({
    args: [...args],
    options: { ...dataOption, create: { type: "boolean" }, json: { type: "boolean" } },
  });
  const values = configWithAddresses(options.data ?? defaultDataDir);
  const client = await connectKafka(values);
  const plans = planTopics(partitionCounts(values), readers);
  const names = plans.map((plan) => plan.name);
  const before = await describeTopics(client, names);
  if (options.create === true) {
    await ensureTopics(client, plans, values.KAFKA_REPLICATION);
    const had = new Set(before.map((facts) => facts.name));
    const made = names.filter((name) => !had.has(name)).map(client.topic);
    remark(made.length === 0 ? "every topic was there" : `made ${made.join(", ")}`);
  }
  const found = options.create === true ? await describeTopics(client, names) : before;
  const listed = plans.map((plan) =>
    topicRow(
      plan,
      found.find((f) => f.name === plan.name),
    ),
  );
  if (options.json === true) return print(JSON.stringify(listed, undefined, 2));
  const headings = ["topic", "partitions", "cleanup", "records, at most", "offsets", "holds"];
  print(formatTable(headings, listed.map(cellsOf)));
  if (listed.some((row) => row.status === "missing")) {
    remark("\nmissing topics are made by `lightning topics --create`, and by any role that starts");
  }
}

export type TopicRow = {
  readonly topic: string;
  readonly status: "ok" | "missing" | "mismatch";
  /** As the configuration says. */
  readonly planned: number;
  readonly partitions: number;
  readonly cleanup: string;
  /** Offsets between earliest and latest: at least as many as records. */
  readonly records: number;
  readonly offsets: readonly { partition: number; earliest: number; latest: number }[];
  readonly holds: string;
};

/** What there is of a planned topic. */
export function topicRow(plan: TopicPlan, facts: TopicFacts | undefined): TopicRow {
  const offsets = facts?.partitions ?? [];
  const status =
    facts === undefined ? "missing" : offsets.length === plan.partitions ? "ok" : "mismatch";
  return {
    topic: plan.name,
    status,
    planned: plan.partitions,
    partitions: offsets.length,
    cleanup: facts?.cleanup ?? plan.cleanup,
    records: offsets.reduce((sum, { earliest, latest }) => sum + latest - earliest, 0),
    offsets,
    holds: contentOf(plan.name),
  };
}

function contentOf(name: string): string {
  const spec = (topics as Readonly<Record<string, TopicSpec>>)[name];
  if (spec !== undefined) return `${spec.records.join(", ")}; by ${spec.key}`;
  const owner = readers.find((r) => [changelogOf(r.name), deadLettersOf(r.name)].includes(name));
  const reader = owner?.name ?? "a reader";
  return name === changelogOf(reader)
    ? `state and position of ${reader}`
    : `what ${reader} refused, with the reason; see lightning dead-letters`;
}

/** The first of several record names; JSON has them all. */
function shortList(holds: string): string {
  const names = holds.split(", ");
  const [last = ""] = names.slice(-1);
  if (names.length <= 4) return holds;
  return `${names.slice(0, 3).join(", ")} and ${names.length - 3} more${last.slice(last.indexOf(";"))}`;
}

/** Partitions whose offsets are spelt out; more of them would not fit a line. */
const shownPartitions = 4;

function cellsOf(row: TopicRow): Cell[] {
  const partitions =
    row.status === "ok" ? String(row.partitions) : `${row.partitions} (should be ${row.planned})`;
  const ranges = row.offsets.map(({ earliest, latest }) => `${earliest}..${latest}`);
  const more =
    ranges.length > shownPartitions ? [`and ${ranges.length - shownPartitions} more`] : [];
  return [
    row.topic,
    row.status === "missing" ? "missing" : partitions,
    row.cleanup,
    row.status === "missing" ? null : row.records,
    [...ranges.slice(0, shownPartitions), ...more].join(" "),
    shortList(row.holds),
  ];
}
