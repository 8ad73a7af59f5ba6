import type { Request, Verdict } from "../../schemas/requests.ts";
import type { Attempt, RolloutChanged, WorkerChanged } from "../../schemas/types.ts";
import { rawMembers } from "./raw-members.ts";

/** A snapshot of a worker; what it says nothing about is null. */
export type Snapshot = Readonly<WorkerChanged>;

type About = Pick<Snapshot, "project" | "worker_id">;
type Status = Pick<Snapshot, "status_at" | "status_order" | "status">;
type Current = Pick<Snapshot, "current_at" | "current_order" | "rollout_id" | "attempt_id">;
type Stats = Pick<Snapshot, "stats_at" | "heartbeat_stats">;

/** When something became so, µs, and which of several of that time it was. */
type Moment = { readonly at: number; readonly order: number };

/** A worker of whom nothing is known but that it was there at a time, µs. */
export function seenWorker({ project, worker_id }: About, at: number): Snapshot {
  return {
    project,
    worker_id,
    first_seen_at: at,
    last_heartbeat_at: null,
    stats_at: null,
    heartbeat_stats: null,
    last_dequeue_at: null,
    status_at: null,
    status: "unknown",
    status_order: 0,
    current_at: null,
    current_order: 0,
    rollout_id: null,
    attempt_id: null,
    last_busy_at: null,
    last_idle_at: null,
  };
}

/**
 * What two snapshots of one worker say together: of every group of fields the later one. In which
 * order, how grouped and how often snapshots are merged does not matter, so gateways write them side
 * by side and read them as they come.
 */
export function mergeWorkers(a: Snapshot, b: Snapshot): Snapshot {
  return {
    project: a.project,
    worker_id: a.worker_id,
    first_seen_at: Math.min(a.first_seen_at, b.first_seen_at),
    last_heartbeat_at: latest(a.last_heartbeat_at, b.last_heartbeat_at),
    ...statsOf(compare(statsKey(a), statsKey(b)) < 0 ? b : a),
    last_dequeue_at: latest(a.last_dequeue_at, b.last_dequeue_at),
    ...statusOf(compare(statusKey(a), statusKey(b)) < 0 ? b : a),
    ...currentOf(compare(currentKey(a), currentKey(b)) < 0 ? b : a),
    last_busy_at: latest(a.last_busy_at, b.last_busy_at),
    last_idle_at: latest(a.last_idle_at, b.last_idle_at),
  };
}

/** Whether `known` already says all that `news` says. */
export function covers(known: Snapshot, news: Snapshot): boolean {
  const merged = mergeWorkers(known, news);
  return (Object.keys(merged) as (keyof Snapshot)[]).every((name) => merged[name] === known[name]);
}

/** The worker said that it is alive; figures it did not send stay as they are. */
export function workerBeat(about: About, at: number, stats: string | null): Snapshot {
  const beat = { ...seenWorker(about, at), last_heartbeat_at: at };
  return stats === null ? beat : { ...beat, stats_at: at, heartbeat_stats: stats };
}

/**
 * The worker asked for work and there was none: it is idle, from now on unless it was before. What
 * it worked on stays named, as in the reference.
 */
export function workerAskedInVain(known: Snapshot | undefined, about: About, at: number): Snapshot {
  const asked = { ...seenWorker(about, at), last_dequeue_at: at };
  if (known?.status === "idle") return asked;
  return { ...asked, status: "idle", status_at: at, last_idle_at: at };
}

/**
 * The worker took several rollouts at once: it works on the last. The partitions of the log stamp
 * such claims a little apart, so their own times do not tell which one that is.
 */
export function workerTook(rollouts: readonly RolloutChanged[], order: number): Snapshot | null {
  const last = rollouts.at(-1);
  const attempt = last?.attempts.at(-1);
  if (last === undefined || attempt === undefined || rollouts.length < 2) return null;
  const at = Math.max(...rollouts.map(({ attempts }) => attempts.at(-1)?.started_at ?? 0));
  const took = workerOn(last, { ...attempt, status: "running" }, { at, order });
  return took === null ? null : { ...seenWorker(took, at), ...currentOf(took) };
}

/**
 * What a request says of a worker (reference/v0.3-store.md, 3.3), or null: about none, or it
 * changed nothing. Signs of life of an attempt are none of its worker.
 *
 * @param timestamp the request's own in the log, ms.
 */
export function workerAfter(
  request: Request,
  verdict: Verdict,
  after: RolloutChanged | undefined,
  timestamp: number,
): Snapshot | null {
  if (verdict.outcome !== "accepted" || after === undefined) return null;
  const attempt = after.attempts.find(({ attempt_id }) => attempt_id === verdict.attemptId);
  if (attempt === undefined) return null;
  const moment = { at: timestamp * 1000, order: request.value.requested_at };
  switch (request.type) {
    case "EnqueueRequested":
      return workerOn(after, attempt, moment);
    case "ClaimRequested": {
      const busy = workerOn(after, attempt, moment);
      return busy === null || request.value.forced ? busy : { ...busy, last_dequeue_at: moment.at };
    }
    case "EndRequested":
    case "TimeoutRequested":
      return workerOn(after, attempt, moment);
    case "PatchRequested":
      return isAboutWorker(request.value.patch) ? workerOn(after, attempt, moment) : null;
    default:
      return null;
  }
}

/**
 * What a rollout's fact says of the workers of its attempts, for a fold that starts from facts: as
 * much as is certain. A limit leaves no time in the fact, so what a worker is after one counts from
 * the last sign of life; a snapshot knows better.
 */
export function workersIn(rollout: RolloutChanged): Snapshot[] {
  return rollout.attempts.flatMap((attempt) => {
    const began = { ...attempt, status: "running" };
    const busy = workerOn(rollout, began, { at: attempt.started_at, order: 0 });
    if (busy === null || isUnderWay(attempt.status)) return busy ?? [];
    const seen = Math.max(attempt.started_at, attempt.last_heartbeat_at ?? 0) + 1;
    const left = workerOn(rollout, attempt, { at: attempt.ended_at ?? seen, order: 0 });
    return left === null ? busy : mergeWorkers(busy, left);
  });
}

/** What an attempt in its status makes of its worker; null when it has none. */
function workerOn(rollout: RolloutChanged, attempt: Attempt, moment: Moment): Snapshot | null {
  const { at, order } = moment;
  const { worker_id } = attempt;
  if (worker_id === null || worker_id === "") return null;
  const seen = {
    ...seenWorker({ project: rollout.project, worker_id }, at),
    status_at: at,
    status_order: order,
    current_at: at,
    current_order: order,
  };
  if (isUnderWay(attempt.status)) {
    const { rollout_id } = rollout;
    const current = { rollout_id, attempt_id: attempt.attempt_id };
    return { ...seen, ...current, status: "busy", last_busy_at: at };
  }
  const byResult = attempt.status === "succeeded" || attempt.status === "failed";
  return { ...seen, status: byResult ? "idle" : "unknown", last_idle_at: at };
}

function isUnderWay(status: string): boolean {
  return status === "preparing" || status === "running";
}

/** Whether a patch of an attempt carries a status or names a worker. */
function isAboutWorker(patch: string): boolean {
  const members = rawMembers(patch);
  if (typeof members === "string") return false;
  const worker = members.get("worker_id");
  return members.has("status") || (worker !== undefined && worker !== '""' && worker !== "null");
}

function latest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

type Key = readonly (number | string)[];

/** Below zero when `a` is the earlier one; only equal keys are equal, so that every merge agrees. */
function compare(a: Key, b: Key): number {
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? x;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

function statsKey({ stats_at, heartbeat_stats }: Stats): Key {
  return [stats_at ?? Number.NEGATIVE_INFINITY, heartbeat_stats ?? ""];
}

function statusKey({ status_at, status_order, status }: Status): Key {
  return [status_at ?? Number.NEGATIVE_INFINITY, status_order, status];
}

function currentKey({ current_at, current_order, rollout_id, attempt_id }: Current): Key {
  const current = [rollout_id ?? "", attempt_id ?? ""];
  return [current_at ?? Number.NEGATIVE_INFINITY, current_order, ...current];
}

function statsOf({ stats_at, heartbeat_stats }: Stats): Stats {
  return { stats_at, heartbeat_stats };
}

function statusOf({ status_at, status_order, status }: Status): Status {
  return { status_at, status_order, status };
}

function currentOf({ current_at, current_order, rollout_id, attempt_id }: Current): Current {
  return { current_at, current_order, rollout_id, attempt_id };
}
