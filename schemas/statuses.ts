/** What a status may be, and what follows from it; the same for whoever folds, answers or stores. */
export const rolloutStatuses = [
  "queuing",
  "preparing",
  "running",
  "failed",
  "succeeded",
  "cancelled",
  "requeuing",
] as const;

export const attemptStatuses = [
  "preparing",
  "running",
  "failed",
  "succeeded",
  "unresponsive",
  "timeout",
] as const;

export const workerStatuses = ["idle", "busy", "unknown"] as const;

export const modes = ["train", "val", "test"] as const;

const finished: ReadonlySet<string> = new Set(["failed", "succeeded", "cancelled"]);

/** Whether a rollout of this status is over, unless somebody reopens it. */
export function isFinished(status: string): boolean {
  return finished.has(status);
}

const inQueue: ReadonlySet<string> = new Set(["queuing", "requeuing"]);

/** Whether a worker may claim a rollout of this status. */
export function isQueued(status: string): boolean {
  return inQueue.has(status);
}
