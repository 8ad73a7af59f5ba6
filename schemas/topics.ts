import type { RecordName } from "./records.ts";

/** How many partitions: `rollouts` topics must agree, so that one rollout is one partition number. */
export type PartitionClass = "rollouts" | "groups" | "trainers" | "single";

export type TopicSpec = {
  readonly name: string;
  /** What the Kafka key is, for people. */
  readonly key: string;
  readonly records: readonly RecordName[];
  readonly partitions: PartitionClass;
  readonly cleanup: "delete" | "compact";
};

const requests = [
  "EnqueueRequested",
  "ClaimRequested",
  "HeartbeatRequested",
  "EndRequested",
  "PatchRequested",
  "CancelRequested",
  "TimeoutRequested",
  "SequenceRequested",
] as const satisfies readonly RecordName[];

/**
 * Every topic of the product. A topic's name is its ClickHouse table's; a prefix is configuration.
 *
 * `transitions` has a partition class of its own: a training batch is drawn from one partition, so
 * that its acknowledgement is one transaction under one fencing token; it needs as many partitions
 * as trainer instances are to work side by side.
 */
export const topics = {
  requests: {
    name: "requests",
    key: "project/rollout id",
    records: requests,
    partitions: "rollouts",
    cleanup: "delete",
  },
  rollouts: {
    name: "rollouts",
    key: "project/rollout id",
    records: ["RolloutChanged"],
    partitions: "rollouts",
    cleanup: "compact",
  },
  spans: {
    name: "spans",
    key: "project/rollout id",
    records: ["SpanRecorded", "AttemptEnded"],
    partitions: "rollouts",
    cleanup: "delete",
  },
  steps: {
    name: "steps",
    key: "project/group id",
    records: ["StepRecorded", "RolloutAssembled", "CallOmitted", "CreditAssigned"],
    partitions: "groups",
    cleanup: "delete",
  },
  transitions: {
    name: "transitions",
    key: "project/group id",
    records: ["TransitionRecorded", "GroupClosed", "CallOmitted"],
    partitions: "trainers",
    cleanup: "delete",
  },
  "credit-requests": {
    name: "credit-requests",
    key: "project/group id",
    records: ["CreditRequested"],
    partitions: "groups",
    cleanup: "delete",
  },
  resources: {
    name: "resources",
    key: "project/resource set id",
    records: ["ResourcesUpdated", "ProjectConfigured"],
    partitions: "single",
    cleanup: "compact",
  },
  batches: {
    name: "batches",
    key: "project/batch id",
    records: ["BatchLeased", "BatchTrained", "BatchReturned"],
    partitions: "trainers",
    cleanup: "delete",
  },
  workers: {
    name: "workers",
    key: "project/worker id",
    records: ["WorkerChanged"],
    partitions: "single",
    cleanup: "compact",
  },
} as const satisfies Record<string, TopicSpec>;

export type TopicName = keyof typeof topics;
export const topicNames = Object.keys(topics) as TopicName[];

/** Name of the compacted topic that holds a reader's state. */
export function changelogOf(reader: string): string {
  return `${reader}.changelog`;
}

/** Name of the topic that holds what a reader could not read. */
export function deadLettersOf(reader: string): string {
  return `${reader}.dead-letters`;
}

/** Largest record a topic takes, bytes: room for spans of 8 MB, uncompressed. */
export const maxRecordBytes = 16 * 1024 * 1024;

/** Largest value of a record, bytes: batch header, key and headers need room as well. */
export const maxValueBytes = maxRecordBytes - 64 * 1024;

/** Largest span a gateway takes, bytes of Avro; larger is a 413. */
export const maxSpanBytes = 8 * 1024 * 1024;

const projectPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a project may be called so: letters, digits, dot, underscore, dash; at most 64. */
export function isProjectName(name: string): boolean {
  return projectPattern.test(name);
}

/** The Kafka key of a rollout, a group, a resource set, a batch or a worker. */
export function keyOf(project: string, id: string): string {
  return `${project}/${id}`;
}

/** The two halves of a key; a project's name has no slash, an id may. */
export function splitKey(key: string): { project: string; id: string } {
  const slash = key.indexOf("/");
  return slash < 0
    ? { project: "default", id: key }
    : { project: key.slice(0, slash), id: key.slice(slash + 1) };
}
