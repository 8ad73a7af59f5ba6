import { attemptIdFor } from "../../processors/rollout-lifecycle.ts";
import { collectSpans } from "../../producers/gateway/otlp/collect.ts";
import type { Append, Produced } from "../../producers/producer.ts";
import { keyOf, topics } from "../../schemas/topics.ts";
import type { EnqueueRequested } from "../../schemas/types.ts";
import { readConfig } from "../config.ts";
import { createContext } from "../context.ts";
import { ensureTopics, planTopics } from "../kafka/admin.ts";
import { partitionCounts, readers } from "../roles.ts";
import { type BacklogJob, clock, type Loaded } from "./load.ts";
import { filled, groupOf, rolloutIdOf, templates } from "./workload.ts";

const project = "default";
const perAppend = 100;

/** What the gateway would have written for these rollouts, all spans before any end. */
export async function writeBacklog(job: BacklogJob): Promise<Omit<Loaded, "cpuMs">> {
  const values = readConfig(job.settings);
  const context = createContext(values, "bench-load");
  const plans = planTopics(partitionCounts(values), readers);
  await ensureTopics(context.client, plans, values.KAFKA_REPLICATION);
  await context.codec.prepare("requests", topics.requests.records);
  await context.codec.prepare("spans", topics.spans.records);
  const from = clock();
  const { calls, bytes } = await writeSpans(job, context.append);
  await writeRequests(job, context.append);
  const to = clock();
  await context.close();
  return { spans: job.rollouts * job.shape.spans, calls, from, to, ended: [], bytes };
}

async function writeSpans(job: BacklogJob, append: Append) {
  const kinds = templates(job.shape, 64);
  let calls = 0;
  let bytes = 0;
  for (let at = 0; at < job.rollouts; at += perAppend) {
    const parts = indexes(job, at).flatMap((i) => {
      const kind = kinds[i % kinds.length];
      const rolloutId = rolloutIdOf(job.run, i);
      const attemptId = attemptIdFor(rolloutId, requestId("claim", rolloutId));
      return kind === undefined ? [] : [[kind, { rolloutId, attemptId }] as const];
    });
    const body = filled(parts);
    const address = { project, rolloutId: null, attemptId: null };
    await append(collectSpans("protobuf", body, address).records);
    calls += parts.reduce((sum, [kind]) => sum + kind.calls, 0);
    bytes += body.length;
  }
  return { calls, bytes };
}

async function writeRequests(job: BacklogJob, append: Append): Promise<void> {
  for (let at = 0; at < job.rollouts; at += perAppend) {
    const records = indexes(job, at).flatMap((i) => requestsOf(job, i));
    await append(records);
  }
}

function indexes(job: BacklogJob, at: number): number[] {
  return Array.from({ length: Math.min(perAppend, job.rollouts - at) }, (_, i) => at + i);
}

function requestId(verb: string, rolloutId: string): string {
  return `${verb}/${rolloutId}`;
}

function requestsOf(job: BacklogJob, index: number): Produced[] {
  const rollout_id = rolloutIdOf(job.run, index);
  const key = keyOf(project, rollout_id);
  const about = (verb: string) => ({
    project,
    rollout_id,
    request_id: requestId(verb, rollout_id),
    requested_at: Date.now() * 1000,
  });
  const claim = about("claim");
  const end = {
    ...about("end"),
    attempt_id: attemptIdFor(rollout_id, claim.request_id),
    status: "succeeded",
    error: null,
  };
  const topic = "requests";
  return [
    { topic, key, type: "EnqueueRequested", value: enqueued(job, index, about("enqueue")) },
    {
      topic,
      key,
      type: "ClaimRequested",
      value: { ...claim, worker_id: "bench", forced: false },
    },
    { topic, key, type: "EndRequested", value: end },
  ];
}

function enqueued(
  job: BacklogJob,
  index: number,
  about: Pick<EnqueueRequested, "project" | "rollout_id" | "request_id" | "requested_at">,
): EnqueueRequested {
  return {
    ...about,
    input: '{"task":"Find a room for 4 people at 10:00 with a whiteboard"}',
    mode: "train",
    resources_id: null,
    resources_version: null,
    config: {
      timeout_seconds: null,
      unresponsive_seconds: null,
      max_attempts: 1,
      retry_condition: [],
      grace_seconds: 0,
      claim_seconds: null,
      retention_seconds: 3600,
    },
    metadata: "{}",
    ...groupOf(job, index),
    group_deadline_seconds: 3600,
    credit: { strategy: "group-relative", parameters: {}, options: {} },
    selection: "{}",
    start: false,
    worker_id: null,
  };
}
