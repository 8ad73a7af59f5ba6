/** What a status may be, as the reference's models say. */
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

/** Whether a rollout of this status is over. */
export function isFinished(status: string): boolean {
  return finished.has(status);
}
