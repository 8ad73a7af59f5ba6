import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";

/**
 * Nice value of the folds and of the embedded ClickHouse beside the doors and the broker: while cores
 * are scarce they get about a sixth of what they compete for, so that clients are answered first and
 * the log keeps the rest for a little later. Both the same, or the one would starve the other.
 * Evidence: infra/decisions/0006-doors-before-folds.md.
 */
export const standBack = 7;

/**
 * Sets the nice value (−20, first, to 19) of a process that leads its session, right after it was
 * started, as the threads it starts take it over. Where the kernel shares cores out by session
 * (autogroup, sched(7)) the session gets it too. A lower value than before needs CAP_SYS_NICE.
 */
export function setNice(pid: number, nice: number): void {
  setPriority(pid, nice);
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
  } catch {
    // This kernel has no autogroups, or this system no /proc.
  }
}
