import {
  covers,
  mergeWorkers,
  type Snapshot,
  workerAfter,
  workerAskedInVain,
  workerBeat,
  workersIn,
  workerTook,
} from "../../processors/lifecycle/workers.ts";
import type { Worker, Workers } from "../../producers/gateway/ports.ts";
import type { Append } from "../../producers/producer.ts";
import { keyOf, topics } from "../../schemas/topics.ts";
import { tailPartition } from "../fold-partition.ts";
import type { Runtime } from "../runtime.ts";
import type { Observer } from "./fold-requests.ts";
import { openLogEnds, readWithinMs } from "./log-ends.ts";

/**
 * How long after a change its snapshot is written, ms, at least and at most: a worker's changes
 * cost one record a second, and of several gateways that saw one mostly a single one writes.
 */
const writeAfterMs = { least: 1000, most: 2000 };

/** Workers whose snapshots stand in one append at most. */
const mostInAppend = 500;

export type FoldedWorkers = Workers & Required<Observer> & { close(): Promise<void> };

/**
 * The workers of every project. What rollouts tell of them every gateway derives from the requests
 * it folds anyway; what they cannot tell (a worker's own heartbeat, a claim in vain) and, a little
 * later, everything else stands as snapshots on the compacted topic `workers`. Snapshots merge by
 * time, group by group, so it does not matter which gateway wrote or read what first, and a
 * snapshot that lacks what another gateway knew is followed by one that has it.
 *
 * Memory: one snapshot a worker id, about 500 bytes, for as long as the topic holds it.
 */
export async function foldWorkers(
  runtime: Runtime,
  append: Append,
  onError: (error: Error) => void,
  { deadlineMs = readWithinMs }: { readonly deadlineMs?: number } = {},
): Promise<FoldedWorkers> {
  /** By project, then worker id, in the order they were first seen here. */
  const projects = new Map<string, Map<string, Snapshot>>();
  /** The newest snapshot on the topic, by key: what would be left after compaction. */
  const written = new Map<string, Snapshot>();
  const dirty = new Map<string, Snapshot>();
  let timer: NodeJS.Timeout | undefined;

  function of(project: string): Map<string, Snapshot> {
    const workers = projects.get(project) ?? new Map<string, Snapshot>();
    projects.set(project, workers);
    return workers;
  }

  function learn(news: Snapshot): Snapshot {
    const workers = of(news.project);
    const known = workers.get(news.worker_id);
    const merged = known === undefined ? news : mergeWorkers(known, news);
    workers.set(news.worker_id, merged);
    return merged;
  }

  /** Takes in what the requests tell, and sees to it that the topic has it soon. */
  function derive(news: Snapshot): void {
    writeSoon(learn(news));
  }

  function writeSoon(worker: Snapshot): void {
    dirty.set(keyOf(worker.project, worker.worker_id), worker);
    if (timer !== undefined) return;
    const { least, most } = writeAfterMs;
    timer = setTimeout(
      () => {
        timer = undefined;
        writeDirty().catch(onError);
      },
      least + Math.random() * (most - least),
    );
    timer.unref();
  }

  /** Writes what the topic does not have yet; a broker that is away is asked again later. */
  async function writeDirty(): Promise<void> {
    const keys = [...dirty.keys()].slice(0, mostInAppend);
    const latest = keys.flatMap((key) => dirty.get(key) ?? []).map((worker) => learn(worker));
    for (const key of keys) dirty.delete(key);
    const news = latest.filter((worker) => {
      const known = written.get(keyOf(worker.project, worker.worker_id));
      return known === undefined || !covers(known, worker);
    });
    try {
      await write(news);
    } catch (error) {
      for (const worker of news) writeSoon(worker);
      runtime.logger.warn({ err: error, workers: news.length }, "snapshots of workers wait");
      return;
    }
    const [next] = dirty.values();
    if (next !== undefined) writeSoon(next);
  }

  async function write(workers: readonly Snapshot[]): Promise<void> {
    if (workers.length === 0) return;
    await append(
      workers.map((value) => ({
        topic: "workers",
        key: keyOf(value.project, value.worker_id),
        type: "WorkerChanged",
        value,
      })),
    );
  }

  /** A change that only this gateway knows of: durable before it is answered. */
  async function publish(news: Snapshot): Promise<Snapshot> {
    const merged = learn(news);
    await write([merged]);
    return of(news.project).get(news.worker_id) ?? merged;
  }

  await runtime.codec.prepare("workers", topics.workers.records);
  const ends = openLogEnds(runtime.client, "workers", "committed");
  const tail = tailPartition(
    runtime.client,
    runtime.codec,
    { topic: "workers", partition: 0, from: 0 },
    ({ record, key }) => {
      if (record?.type !== "WorkerChanged") return;
      written.set(key, record.value);
      const merged = learn(record.value);
      // Its writer did not know all of it: compaction would take away what it lacks.
      if (!covers(record.value, merged)) writeSoon(merged);
    },
    onError,
  );
  await tail.caughtUp;

  return {
    get(project, workerId) {
      const worker = projects.get(project)?.get(workerId);
      return worker === undefined ? undefined : viewOf(worker);
    },
    list(project) {
      const workers = [...(projects.get(project)?.values() ?? [])];
      return workers.sort((a, b) => a.first_seen_at - b.first_seen_at).map(viewOf);
    },
    async caughtUp() {
      const end = (await ends.now()).get(0) ?? 0;
      await tail.position.reached(end, Date.now() + deadlineMs, "workers");
    },
    async heartbeat(project, workerId, stats) {
      const about = { project, worker_id: workerId };
      return viewOf(await publish(workerBeat(about, Date.now() * 1000, stats)));
    },
    async dequeued(project, workerId, found) {
      // A claim that won something stands in the requests.
      if (found || workerId === "") return;
      const about = { project, worker_id: workerId };
      const known = projects.get(project)?.get(workerId);
      const asked = workerAskedInVain(known, about, Date.now() * 1000);
      // Runners poll many times a second: that one asked again may be known a second later.
      if (known !== undefined && known.status === "idle") derive(asked);
      else await publish(asked);
    },
    decided(_before, request, verdict, after, timestamp) {
      const news = workerAfter(request, verdict, after, timestamp);
      if (news !== null) derive(news);
    },
    started(rollout) {
      for (const news of workersIn(rollout)) learn(news);
    },
    taken(rollouts) {
      const news = workerTook(rollouts, Date.now() * 1000);
      if (news !== null) derive(news);
    },
    async close() {
      if (timer !== undefined) clearTimeout(timer);
      await writeDirty();
      await ends.close();
      await tail.close();
    },
  };
}

function viewOf(worker: Snapshot): Worker {
  return {
    workerId: worker.worker_id,
    status: worker.status === "idle" || worker.status === "busy" ? worker.status : "unknown",
    heartbeatStats: worker.heartbeat_stats,
    lastHeartbeatAt: worker.last_heartbeat_at,
    lastDequeueAt: worker.last_dequeue_at,
    lastBusyAt: worker.last_busy_at,
    lastIdleAt: worker.last_idle_at,
    rolloutId: worker.rollout_id,
    attemptId: worker.attempt_id,
  };
}
