import { keyOf } from "../../schemas/topics.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import type { History, Spans, Worker, Workers } from "./ports.ts";
import type { MemoryLog } from "./testing.ts";

/** The spans of the log in memory; it sees what anyone appends. */
export function memorySpans(log: MemoryLog): Spans {
  const byRollout = new Map<string, SpanRecorded[]>();
  const seen = new Set<string>();
  const highest = new Map<string, number>();
  const identity = (span: SpanRecorded): string =>
    JSON.stringify([span.project, span.rollout_id, span.attempt_id, span.span_id]);
  log.readers.push((record) => {
    if (record.type !== "SpanRecorded") return;
    const { sequence_id } = record.value;
    if (sequence_id !== null) {
      highest.set(record.key, Math.max(highest.get(record.key) ?? sequence_id, sequence_id));
    }
    if (seen.has(identity(record.value))) return;
    seen.add(identity(record.value));
    byRollout.set(record.key, [...(byRollout.get(record.key) ?? []), record.value]);
  });
  return {
    async add(spans) {
      const first = spans.map(({ value }, i) => {
        const id = identity(value);
        return !seen.has(id) && spans.findIndex((one) => identity(one.value) === id) === i;
      });
      await log.append(spans);
      return first;
    },
    of: async (project, rolloutId) => byRollout.get(keyOf(project, rolloutId)) ?? [],
    caughtUp: async () => undefined,
    highest: async (project, rolloutId) => highest.get(keyOf(project, rolloutId)) ?? null,
    count: async (project) =>
      [...byRollout.values()].flat().filter((span) => span.project === project).length,
  };
}

/** Nothing has been forgotten. */
export const noHistory: History = {
  get: async () => undefined,
  search: async () => ({ places: [], total: 0 }),
  rows: async () => [],
  count: async () => ({ rollouts: 0, attempts: 0 }),
};

/** Workers of which only heartbeats and empty dequeues are known. */
export function memoryWorkers(now: () => number): Workers {
  const workers = new Map<string, Worker>();
  const nobody: Omit<Worker, "workerId"> = {
    status: "unknown",
    heartbeatStats: null,
    lastHeartbeatAt: null,
    lastDequeueAt: null,
    lastBusyAt: null,
    lastIdleAt: null,
    rolloutId: null,
    attemptId: null,
  };
  const set = (project: string, workerId: string, change: Partial<Worker>): Worker => {
    const key = keyOf(project, workerId);
    const worker = { ...nobody, ...workers.get(key), workerId, ...change };
    workers.set(key, worker);
    return worker;
  };
  return {
    get: (project, workerId) => workers.get(keyOf(project, workerId)),
    list: (project) =>
      [...workers].filter(([key]) => key.startsWith(`${project}/`)).map(([, worker]) => worker),
    caughtUp: async () => undefined,
    async heartbeat(project, workerId, stats) {
      const lastHeartbeatAt = now() * 1000;
      const heartbeatStats = stats === null ? {} : { heartbeatStats: stats };
      return set(project, workerId, { lastHeartbeatAt, ...heartbeatStats });
    },
    async dequeued(project, workerId) {
      set(project, workerId, { status: "idle", lastDequeueAt: now() * 1000 });
    },
  };
}
