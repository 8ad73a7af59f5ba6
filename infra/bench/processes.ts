import { readdirSync, readFileSync } from "node:fs";

/** What a process and everything it started has used. */
export type Usage = {
  /** User and system time, ms; those of children that ended included. */
  readonly cpuMs: number;
  /** Resident memory, MiB. */
  readonly rssMb: number;
};

type Stat = { readonly parent: number; readonly ticks: number; readonly pages: number };

/** USER_HZ and the page size of every Linux that Node runs on (getconf CLK_TCK, PAGESIZE). */
const msPerTick = 10;
const pageKb = 4;

/**
 * Reads a line of `/proc/<pid>/stat` (proc(5)): parent, utime+stime+cutime+cstime in ticks, rss in
 * pages. The command may hold spaces and brackets, so fields are counted from its last bracket.
 */
export function parseStat(line: string): Stat {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const at = (index: number): number => Number(fields[index]);
  return { parent: at(1), ticks: at(11) + at(12) + at(13) + at(14), pages: at(21) };
}

/**
 * Usage of named processes, each with the processes below it that are not named themselves.
 *
 * @param roots name → process id.
 */
export function usageOf(roots: Readonly<Record<string, number>>): Record<string, Usage> {
  const stats = allStats();
  const nameOf = new Map(Object.entries(roots).map(([name, pid]) => [pid, name]));
  const usage: Record<string, Usage> = {};
  for (const [pid, stat] of stats) {
    const name = ownerOf(pid, stats, nameOf);
    if (name === undefined) continue;
    const before = usage[name] ?? { cpuMs: 0, rssMb: 0 };
    usage[name] = {
      cpuMs: before.cpuMs + stat.ticks * msPerTick,
      rssMb: before.rssMb + (stat.pages * pageKb) / 1024,
    };
  }
  return usage;
}

function ownerOf(
  pid: number,
  stats: ReadonlyMap<number, Stat>,
  nameOf: ReadonlyMap<number, string>,
): string | undefined {
  for (let at = pid; at > 1; at = stats.get(at)?.parent ?? 0) {
    const name = nameOf.get(at);
    if (name !== undefined) return name;
  }
  return undefined;
}

function allStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      stats.set(Number(entry), parseStat(readFileSync(`/proc/${entry}/stat`, "utf8")));
    } catch {
      // It ended between the listing and the reading.
    }
  }
  return stats;
}

/** CPU used between two readings, ms by process; a process that is gone counts nothing. */
export function cpuBetween(
  before: Readonly<Record<string, Usage>>,
  after: Readonly<Record<string, Usage>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, usage]) => [name, usage.cpuMs - (before[name]?.cpuMs ?? 0)]),
  );
}

/** Share of all cores that anything on this machine used between two readings of /proc/stat, 0–1. */
export function machineLoad(): () => number {
  const read = (): readonly [busy: number, all: number] => {
    const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
    const ticks = line.split(/\s+/).slice(1, 9).map(Number);
    const all = ticks.reduce((sum, value) => sum + value, 0);
    return [all - (ticks[3] ?? 0) - (ticks[4] ?? 0), all];
  };
  const [busy, all] = read();
  return () => {
    const [busyNow, allNow] = read();
    return (busyNow - busy) / Math.max(1, allNow - all);
  };
}
