import { generate } from "./load.ts";
import { makeDatabase } from "./run-live.ts";
import {
  apart,
  foldsGroup,
  type Group,
  type Settings,
  type Stack,
  whileMeasured,
} from "./stack.ts";
import { openWatch, type Watch } from "./watch.ts";
import type { Shape } from "./workload.ts";

export type BacklogRun = {
  readonly spans: number;
  readonly rollouts: number;
  /** From the moment the folds go on to the last transition, and to the last row, s. */
  readonly toTransitions: number;
  readonly toRows: number;
  readonly cpuMs: Readonly<Record<string, number>>;
};

/** Folds that are warm and caught up; each `run` lets them work off a backlog. */
export type WarmFolds = {
  readonly name: string;
  run(rollouts: number): Promise<BacklogRun>;
  close(): Promise<void>;
};

export type FoldsPlan = {
  /** Prefix and database; used once on a stack. */
  readonly name: string;
  readonly shape: Shape;
  readonly groupSize: number;
  readonly settings?: Settings;
  /** Without transactions, for one comparison. */
  readonly plain?: boolean;
};

/** While the log is filled the folds are suspended: they must still be members afterwards. */
const patient: Settings = { KAFKA_SESSION_TIMEOUT_MS: "120000" };
const warmRollouts = 1500;

/**
 * The folds alone, without gateway and HTTP: their process is suspended (SIGSTOP), rollouts are put
 * straight onto the log, and the clock starts when it goes on. Warm: code is compiled, nothing starts.
 */
export async function startFolds(stack: Stack, plan: FoldsPlan): Promise<WarmFolds> {
  const own = { ...apart(plan.name), ...patient, ...plan.settings };
  const settings = { ...stack.settings, ...own };
  const folds: Group = { ...foldsGroup, name: plan.name, plain: plan.plain === true };
  await makeDatabase(stack, plan.name);
  await stack.start(folds, own);
  const watch = await openWatch(settings);
  const totals = { runs: 0, spans: 0, calls: 0 };

  async function run(rollouts: number): Promise<BacklogRun> {
    const { shape, groupSize } = plan;
    const job = { job: "backlog", settings, groupSize, shape, rollouts } as const;
    stack.signal(folds, "SIGSTOP");
    const loaded = await generate({ ...job, run: `${plan.name}${totals.runs}` });
    totals.runs += 1;
    totals.spans += loaded.spans;
    totals.calls += loaded.calls;
    const { result, cpuMs } = await whileMeasured(stack, () => {
      stack.signal(folds, "SIGCONT");
      return caughtUp(watch, totals);
    });
    return { spans: loaded.spans, rollouts, ...result, cpuMs };
  }

  await run(warmRollouts);
  return {
    name: plan.name,
    run,
    async close() {
      await watch.close();
      await stack.stop(folds);
    },
  };
}

async function caughtUp(watch: Watch, totals: { spans: number; calls: number }) {
  const from = performance.timeOrigin + performance.now();
  const seenAt = await watch.transitions(totals.calls);
  const storedAt = await watch.rows(totals.spans, totals.calls);
  return { toTransitions: (seenAt - from) / 1000, toRows: (storedAt - from) / 1000 };
}
