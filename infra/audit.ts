import { setTimeout as sleep } from "node:timers/promises";
import { isFinished } from "../schemas/statuses.ts";
import { type TopicName, topics } from "../schemas/topics.ts";
import type { ClickHouseClient } from "../sinks/clickhouse/client.ts";
import { duplicates, figuresOf } from "../sinks/clickhouse/queries-figures.ts";
import type { Context } from "./context.ts";
import { type Tailed, tailPartition } from "./fold-partition.ts";
import { topicOffsets } from "./kafka/admin.ts";

/** What a project has come to, counted from Kafka and held against ClickHouse. */
export type Audit = {
  readonly rollouts: number;
  readonly spans: number;
  readonly steps: number;
  readonly transitions: number;
  /** Transitions of acknowledged batches. */
  readonly trained: number;
  readonly resourceVersions: number;
  /** Finished rollouts that were not assembled, steps without a transition, records not in ClickHouse. */
  readonly lost: number;
  /** Records that stand twice in Kafka's derived topics, rows that stand twice in ClickHouse. */
  readonly duplicated: number;
};

const readTopics = [
  "rollouts",
  "spans",
  "steps",
  "transitions",
  "batches",
] as const satisfies readonly TopicName[];

/**
 * Reads the topics of a project from their start, as a read_committed consumer sees them, again and
 * again until nothing is lacking.
 *
 * @param settleMs how long folds and ClickHouse may take to catch up before what is lacking counts as lost.
 */
export async function audit(
  context: Context,
  clickhouse: ClickHouseClient,
  project: string,
  settleMs: number,
): Promise<Audit> {
  const deadline = Date.now() + settleMs;
  for (;;) {
    const counted = await auditOnce(context, clickhouse, project);
    if (counted.lost === 0 || Date.now() >= deadline) return counted;
    await sleep(pauseMs);
  }
}

const pauseMs = 500;

async function auditOnce(
  context: Context,
  clickhouse: ClickHouseClient,
  project: string,
): Promise<Audit> {
  const kafka = await countKafka(context, project);
  const figures = await figuresOf(clickhouse, project);
  const missing =
    Math.max(0, kafka.spans.size - figures.spans) +
    Math.max(0, kafka.steps.size - figures.steps) +
    Math.max(0, kafka.transitions.size - figures.transitions);
  const twice = Object.values(await duplicates(clickhouse)).reduce((sum, n) => sum + n, 0);
  return {
    rollouts: figures.rollouts,
    spans: figures.spans,
    steps: figures.steps,
    transitions: figures.transitions,
    trained: figures.trained,
    resourceVersions: figures.resourceVersions,
    lost: missing + kafka.unassembled() + kafka.uncredited(),
    duplicated: kafka.repeated + twice,
  };
}

type Counted = {
  readonly spans: ReadonlySet<string>;
  /** Of the newest revision of each rollout, as ClickHouse shows them. */
  readonly steps: ReadonlySet<string>;
  /** Of the newest revision of each group. */
  readonly transitions: ReadonlySet<string>;
  /** Derived records beyond the first of their key. */
  readonly repeated: number;
  unassembled(): number;
  uncredited(): number;
};

/** A derived record: what it is about, and the revision of the rollout or group it was written in. */
type Derived = { readonly key: string; readonly of: string; readonly revision: number };

async function countKafka(context: Context, project: string): Promise<Counted> {
  const counts: Counts = {
    finished: new Set(),
    spans: new Set(),
    steps: newestOf(),
    transitions: newestOf(),
    groupOfStep: new Map(),
    withheld: new Set(),
  };
  await readAll(context, ({ record }) => {
    if (record === null || record.value === null || !("project" in record.value)) return;
    if (record.value.project === project) count(counts, record);
  });
  const { finished, spans, groupOfStep, withheld } = counts;
  const steps = counts.steps.newest();
  const transitions = counts.transitions.newest();
  const isCredited = (key: string, group: string): boolean =>
    !counts.transitions.closed.has(group) || withheld.has(group) || transitions.has(key);
  return {
    spans,
    steps,
    transitions,
    repeated: counts.steps.repeated() + counts.transitions.repeated(),
    unassembled: () => [...finished].filter((id) => !counts.steps.closed.has(id)).length,
    uncredited: () =>
      [...steps].filter((key) => !isCredited(key, groupOfStep.get(key) ?? "")).length,
  };
}

type Counts = {
  readonly finished: Set<string>;
  readonly spans: Set<string>;
  readonly steps: Newest;
  readonly transitions: Newest;
  readonly groupOfStep: Map<string, string>;
  /** Groups whose transitions were held back on purpose. */
  readonly withheld: Set<string>;
};

function count(counts: Counts, record: NonNullable<Tailed["record"]>): void {
  if (record.type === "RolloutChanged" && isFinished(record.value.status)) {
    counts.finished.add(record.value.rollout_id);
  } else if (record.type === "SpanRecorded") {
    // A producer may append a span twice; its identity decides.
    const { rollout_id, attempt_id, span_id } = record.value;
    counts.spans.add(`${rollout_id}\u0000${attempt_id}\u0000${span_id}`);
  } else if (record.type === "StepRecorded") {
    const { rollout_id, revision, group_id } = record.value;
    const key = stepKey(record.value);
    counts.steps.add({ key, of: rollout_id, revision });
    counts.groupOfStep.set(key, group_id);
  } else if (record.type === "RolloutAssembled") {
    counts.steps.close(record.value.rollout_id, record.value.revision);
  } else if (record.type === "TransitionRecorded") {
    const { group_id, revision } = record.value;
    counts.transitions.add({ key: stepKey(record.value), of: group_id, revision });
  } else if (record.type === "GroupClosed") {
    counts.transitions.close(record.value.group_id, record.value.revision);
    if (record.value.withheld > 0) counts.withheld.add(record.value.group_id);
  }
}

type Newest = {
  /** What was closed, with its newest revision. */
  readonly closed: ReadonlyMap<string, number>;
  add(one: Derived): void;
  close(of: string, revision: number): void;
  /** Keys of the newest revision of everything that was closed, and of what was not. */
  newest(): Set<string>;
  repeated(): number;
};

/** Collects derived records with their closings, of which a later revision takes the place of an earlier. */
function newestOf(): Newest {
  const seen = new Set<string>();
  const all: Derived[] = [];
  const closed = new Map<string, number>();
  let repeated = 0;
  const once = (id: string): boolean => {
    const isNew = !seen.has(id);
    if (!isNew) repeated += 1;
    seen.add(id);
    return isNew;
  };
  return {
    closed,
    add(one) {
      if (once(`${one.key}\u0000${one.revision}`)) all.push(one);
    },
    close(of, revision) {
      once(`closing\u0000${of}\u0000${revision}`);
      closed.set(of, Math.max(revision, closed.get(of) ?? 0));
    },
    newest: () =>
      new Set(
        all.flatMap(({ key, of, revision }) =>
          revision === (closed.get(of) ?? revision) ? [key] : [],
        ),
      ),
    repeated: () => repeated,
  };
}

type StepIdentity = {
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly step_index: number;
};

function stepKey({ rollout_id, attempt_id, step_index }: StepIdentity): string {
  return `${rollout_id}\u0000${attempt_id}\u0000${step_index}`;
}

async function readAll(context: Context, onRecord: (tailed: Tailed) => void): Promise<void> {
  const { client, codec } = context;
  for (const topic of readTopics) {
    await codec.prepare(topic, topics[topic].records);
    const partitions = await topicOffsets(client, topic);
    const tails = partitions.map(({ partition, earliest }) =>
      tailPartition(
        client,
        codec,
        { topic, partition, from: earliest, once: true },
        onRecord,
        () => undefined,
      ),
    );
    await Promise.all(tails.map((tail) => tail.caughtUp));
  }
}
