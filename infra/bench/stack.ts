import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VariableName } from "../config.ts";
import { setNice, standBack } from "../process-priority.ts";
import { forkBench } from "./child.ts";
import { cpuBetween, type Usage, usageOf } from "./processes.ts";

export type Settings = Partial<Record<VariableName, string>>;

/**
 * A process of roles; a name is used once on a stack. `plain`: without transactions; `nice`: how far
 * it stands back behind the others.
 */
export type Group = {
  readonly name: string;
  readonly roles: readonly string[];
  readonly plain?: boolean;
  readonly nice?: number;
};

/** The two processes that `lightning up` starts. */
export const gatewayGroup: Group = { name: "gateway", roles: ["gateway", "trainer"] };
export const foldsGroup: Group = {
  name: "folds",
  roles: ["track-rollouts", "assemble-rollouts", "assign-credit", "clickhouse"],
  nice: standBack,
};

export type StackOptions = {
  /** Write a CPU profile of every process of roles into this folder when it ends. */
  readonly profileDir?: string;
};

/** Kafka, ClickHouse and registry in processes of their own, and any processes of roles. */
export type Stack = {
  /** Where the engines are; a run adds its prefix and database. */
  readonly settings: Settings;
  /** Starts a process of roles; returns the addresses it listens on. */
  start(group: Group, settings: Settings): Promise<Readonly<Record<string, string>>>;
  stop(group: Group): Promise<void>;
  /** Suspends a process of roles, or lets it go on. */
  signal(group: Group, signal: "SIGSTOP" | "SIGCONT"): void;
  /** Changes how far a process stands back, by its name in {@link usage}; forward needs CAP_SYS_NICE. */
  nice(name: string, nice: number): void;
  /** CPU and memory by process, since their start. */
  usage(): Record<string, Usage>;
  close(): Promise<void>;
};

export type StackQuestion =
  | { readonly ask: "engines"; readonly dataDir: string; readonly profileDir: string | null }
  | { readonly ask: "start"; readonly group: Group; readonly settings: Settings }
  | { readonly ask: "stop"; readonly group: Group }
  | { readonly ask: "close" };

export type StackAnswer = {
  readonly settings: Settings;
  readonly pids: Readonly<Record<string, number>>;
  readonly addresses: Readonly<Record<string, string>>;
};

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const dataDir = mkdtempSync(join(tmpdir(), "lightning-bench-"));
  const child = forkBench<StackQuestion, StackAnswer>("stack-main.ts");
  let pids: Readonly<Record<string, number>> = {};
  const ask = async (question: StackQuestion): Promise<StackAnswer> => {
    const answer = await child.ask(question);
    pids = answer.pids;
    return answer;
  };
  try {
    const profileDir = options.profileDir ?? null;
    const { settings } = await ask({ ask: "engines", dataDir, profileDir });
    return {
      settings,
      start: async (group, own) => {
        const { addresses } = await ask({ ask: "start", group, settings: own });
        return addresses;
      },
      stop: async (group) => {
        await ask({ ask: "stop", group });
      },
      signal(group, signal) {
        const pid = pids[group.name];
        if (pid !== undefined) process.kill(pid, signal);
      },
      nice(name, nice) {
        const pid = pids[name];
        if (pid !== undefined) setNice(pid, nice);
      },
      usage: () => usageOf({ up: child.pid, ...pids }),
      async close() {
        await ask({ ask: "close" });
        await child.end();
        rmSync(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await child.end();
    rmSync(dataDir, { recursive: true, force: true });
    throw error;
  }
}

/** Settings that keep one run apart from the others on the same engines. */
export function apart(name: string): Settings {
  return { LIGHTNING_TOPIC_PREFIX: `${name}.`, CLICKHOUSE_DATABASE: name };
}

/** CPU that the stack used while `work` ran, ms by process, and what `work` gave. */
export async function whileMeasured<T>(
  stack: Stack,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpuMs: Readonly<Record<string, number>> }> {
  const before = stack.usage();
  const result = await work();
  return { result, cpuMs: cpuBetween(before, stack.usage()) };
}
