import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, LightningError } from "../../schemas/errors.ts";

/** A process that can be told from a later one with the same pid. */
export type ProcessId = {
  readonly pid: number;
  /** Clock ticks from boot to its start (`/proc/<pid>/stat`, field 22); "" where there is no /proc. */
  readonly started: string;
};

/** The running process with this pid, or undefined when there is none (a zombie counts as none). */
export function findProcess(pid: number): ProcessId | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return undefined;
  }
  if (process.platform !== "linux") return { pid, started: "" };
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name stands in brackets and may itself hold brackets and spaces.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : { pid, started: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

/** Whether exactly this process still runs. */
export function isRunning(id: ProcessId): boolean {
  return findProcess(id.pid)?.started === id.started;
}

/** Reads a process id that {@link lockFolder} or a pid file wrote; undefined when it is damaged. */
export function parseProcessId(text: string): ProcessId | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Partial<ProcessId>;
    return Number.isInteger(pid) && typeof started === "string"
      ? { pid: pid as number, started }
      : undefined;
  } catch {
    return undefined;
  }
}

function readOwner(path: string): ProcessId | undefined {
  try {
    return parseProcessId(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/**
 * Takes the lock file at `path`, which names its owner; a dead owner's lock is taken over.
 * Returns the function that gives it back. Waits `handOverMs` for a living owner: the child of a
 * killed process needs a moment to notice and to give its folder back.
 *
 * @throws LightningError `data-folder-locked` naming the process that holds it.
 */
export async function lockFolder(
  path: string,
  what: string,
  handOverMs = 3000,
): Promise<() => void> {
  const deadline = Date.now() + handOverMs;
  for (;;) {
    try {
      return tryLock(path, what);
    } catch (error) {
      const own = error instanceof LightningError && error.fields.pid === process.pid;
      if (codeOf(error) !== "data-folder-locked" || own || Date.now() > deadline) throw error;
    }
    await sleep(50);
  }
}

function tryLock(path: string, what: string): () => void {
  mkdirSync(dirname(path), { recursive: true });
  const self = findProcess(process.pid) ?? { pid: process.pid, started: "" };
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, JSON.stringify(self));
  try {
    for (let tries = 0; tries < 10; tries++) {
      if (linked(mine, path)) return () => rmSync(path, { force: true });
      const owner = readOwner(path);
      if (owner !== undefined && isRunning(owner)) throw locked(path, what, owner);
      discardStale(path, `${mine}.stale`, owner);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  throw new LightningError("data-folder-locked", `cannot lock ${what} (${path})`, { path });
}

/**
 * Removes a dead owner's lock. It is moved away first and put back if it turns out to be another's:
 * of two who see the same dead owner, the slower must not remove the lock of the faster.
 */
function discardStale(path: string, aside: string, dead: ProcessId | undefined): void {
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  const found = readOwner(aside);
  if (found !== undefined && (found.pid !== dead?.pid || found.started !== dead.started)) {
    linked(aside, path);
  }
  rmSync(aside, { force: true });
}

/** Link is atomic and the file arrives with its content: nobody ever reads a half-written lock. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function locked(path: string, what: string, owner: ProcessId): LightningError {
  return new LightningError(
    "data-folder-locked",
    `${what} is in use by process ${owner.pid}: stop that one, or choose another data folder with --data`,
    { path, pid: owner.pid },
  );
}
