import { forkBench } from "./child.ts";
import type { Settings } from "./stack.ts";
import type { Shape } from "./workload.ts";

/** Batches of plain spans to /v1/traces. */
export type IngestJob = {
  readonly job: "ingest";
  readonly gateway: string;
  readonly connections: number;
  readonly requests: number;
};

/** Rollouts from enqueue to end through the gateway. */
export type LiveJob = {
  readonly job: "live";
  readonly gateway: string;
  /** Rollout ids derive from it; one run, one name. */
  readonly run: string;
  readonly rollouts: number;
  readonly groupSize: number;
  readonly shape: Shape;
  /** Connections that claim, send spans and end, one thing at a time each. */
  readonly runners: number;
  /** Rollouts whose spans share an OTLP request. */
  readonly perRequest: number;
  /** Rollouts enqueued a second; null: as fast as they are taken. */
  readonly rate: number | null;
};

/** The same rollouts written straight to the log, for folds that start later. */
export type BacklogJob = {
  readonly job: "backlog";
  readonly settings: Settings;
  readonly run: string;
  readonly rollouts: number;
  readonly groupSize: number;
  readonly shape: Shape;
};

export type Job = IngestJob | LiveJob | BacklogJob;

export type Loaded = {
  readonly spans: number;
  /** LLM calls, which is how many transitions must come of it. */
  readonly calls: number;
  /** Wall clock of the first request and of the last answer, ms since epoch. */
  readonly from: number;
  readonly to: number;
  /** When the end of each rollout was answered with 2xx. */
  readonly ended: readonly (readonly [rolloutId: string, at: number])[];
  /** Body bytes sent. */
  readonly bytes: number;
  /** What this generator used itself, ms. */
  readonly cpuMs: number;
};

/** Wall clock with the resolution of the monotonic one, comparable between processes, ms. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

/** Runs a job in a process of its own, so that generating load does not delay watching it. */
export async function generate(job: Job): Promise<Loaded> {
  const child = forkBench<Job, Loaded>("load-main.ts");
  try {
    return await child.ask(job);
  } finally {
    await child.end();
  }
}
