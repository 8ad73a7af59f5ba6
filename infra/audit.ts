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
 * Reads the topics of a project from their start, as a read_committed consumer sees them.
 *
 * @param settleMs how long ClickHouse may take to catch up before what it lacks counts as lost.
 */
export async function audit(
  context: Context,
  clickhouse: ClickHouseClient,
  project: string,
  settleMs: number,
): Promise<Audit> {
  const kafka = await countKafka(context, project);
  const deadline = Date.now() + settleMs;
  for (;;) {
    const figures = await figuresOf(clickhouse, project);
    const missing =
      Math.max(0, kafka.spans.size - figures.spans) +
      Math.max(0, kafka.steps.size - figures.steps) +
      Math.max(0, kafka.transitions.size - figures.transitions);
    if (missing > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      continue;
    }
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
}

type Counted = {
  readonly spans: ReadonlySet<string>;
  readonly steps: ReadonlySet<string>;
  readonly transitions: ReadonlySet<string>;
  /** Derived records beyond the first of their key. */
  readonly repeated: number;
  unassembled(): number;
  uncredited(): number;
};

async function countKafka(context: Context, project: string): Promise<Counted> {
  const finished = new Set<string>();
  const assembled = new Set<string>();
  const spans = new Set<string>();
  const steps = new Set<string>();
  const transitions = new Set<string>();
  const closed = new Set<string>();
  const groupOfStep = new Map<string, string>();
  let repeated = 0;
  const addOnce = (set: Set<string>, key: string): void => {
    if (set.has(key)) repeated += 1;
    set.add(key);
  };
  await readAll(context, ({ record }) => {
    if (record === null || record.value === null || !("project" in record.value)) return;
    if (record.value.project !== project) return;
    if (record.type === "RolloutChanged" && isFinished(record.value.status)) {
      finished.add(record.value.rollout_id);
    } else if (record.type === "SpanRecorded") {
      // A producer may append a span twice; its identity decides.
      const { rollout_id, attempt_id, span_id } = record.value;
      spans.add(`${rollout_id}\u0000${attempt_id}\u0000${span_id}`);
    } else if (record.type === "StepRecorded") {
      const { rollout_id, attempt_id, step_index, group_id } = record.value;
      const key = `${rollout_id}\u0000${attempt_id}\u0000${step_index}`;
      addOnce(steps, key);
      groupOfStep.set(key, group_id);
    } else if (record.type === "RolloutAssembled") addOnce(assembled, record.value.rollout_id);
    else if (record.type === "TransitionRecorded") {
      const { rollout_id, attempt_id, step_index, revision } = record.value;
      addOnce(transitions, `${rollout_id}\u0000${attempt_id}\u0000${step_index}\u0000${revision}`);
    } else if (record.type === "GroupClosed") {
      addOnce(closed, `${record.value.group_id}\u0000${record.value.revision}`);
    }
  });
  return {
    spans,
    steps,
    transitions,
    repeated,
    unassembled: () => [...finished].filter((id) => !assembled.has(id)).length,
    uncredited: () =>
      [...groupOfStep].filter(
        ([key, group]) => closed.has(`${group}\u00000`) && !transitions.has(`${key}\u00000`),
      ).length,
  };
}

function isFinished(status: string): boolean {
  return status === "succeeded" || status === "failed" || status === "cancelled";
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
