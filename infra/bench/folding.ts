import { amount, type Bench, median, spread, type Table } from "./bench.ts";
import { type BacklogRun, startFolds, type WarmFolds } from "./run-backlog.ts";
import { total } from "./run-live.ts";
import type { Stack } from "./stack.ts";
import { smallShape } from "./workload.ts";

type Measured = { readonly name: string; readonly runs: BacklogRun[] };

const groupSize = 4;

async function takeTurns(
  folds: readonly WarmFolds[],
  rounds: number,
  rollouts: number,
  say: (line: string) => void,
): Promise<Measured[]> {
  const measured: Measured[] = folds.map(({ name }) => ({ name, runs: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, one] of folds.entries()) {
      const run = await one.run(rollouts);
      say(
        `${one.name}: ${amount(run.spans / run.toRows)} spans/s, ${amount(total(run.cpuMs) / rollouts, 2)} CPU-ms a rollout`,
      );
      measured[i]?.runs.push(run);
    }
  }
  return measured;
}

function rowsOf(measured: readonly Measured[]): string[][] {
  const [first] = measured;
  return measured.map(({ name, runs }) => [
    name,
    spread(runs.map((run) => run.spans / run.toTransitions)),
    spread(runs.map((run) => run.spans / run.toRows)),
    spread(runs.map(cpuPerRollout), 2),
    ratio(runs, first?.runs ?? [], (run) => run.toTransitions),
    ratio(runs, first?.runs ?? [], (run) => run.toRows),
    ratio(runs, first?.runs ?? [], cpuPerRollout),
  ]);
}

const head = [
  "folds",
  "spans/s to transitions",
  "spans/s to ClickHouse",
  "CPU-ms per rollout",
  "time to transitions ÷ first row",
  "time to ClickHouse ÷ first row",
  "CPU ÷ first row",
];

function cpuPerRollout(run: BacklogRun): number {
  return total(run.cpuMs) / run.rollouts;
}

function ratio(
  runs: readonly BacklogRun[],
  base: readonly BacklogRun[],
  of: (run: BacklogRun) => number,
): string {
  return amount(median(runs.map(of)) / median(base.map(of)), 2);
}

async function closeAll(stack: Stack, folds: readonly WarmFolds[]): Promise<void> {
  for (const one of folds) await one.close();
  await stack.close();
}

const how =
  "The folds' process is suspended, rollouts of 10 spans (1 or 2 LLM calls) are put straight onto the log, and the clock starts when it goes on. The rows take turns on one broker and one ClickHouse after a warm-up each.";

/** What the folding side does by itself, by codec. */
export const backlog: Bench = {
  name: "backlog",
  doc: "the folding side alone, working off a backlog, by codec",
  async run({ quick, say, stack: start }) {
    const stack = await start();
    const folds: WarmFolds[] = [];
    try {
      for (const codec of quick ? (["lz4"] as const) : (["lz4", "none", "snappy"] as const)) {
        const settings = { KAFKA_COMPRESSION: codec };
        folds.push(
          await startFolds(stack, { name: codec, shape: smallShape, groupSize, settings }),
        );
      }
      const measured = await takeTurns(folds, quick ? 1 : 3, quick ? 500 : 3000, say);
      const title = "The folds alone: working off a backlog";
      return [{ title, head, rows: rowsOf(measured), notes: [how] }];
    } finally {
      await closeAll(stack, folds);
    }
  },
};

/** The same processors, topology and run, with and without transactions. */
export const exactlyOnce: Bench = {
  name: "exactly-once",
  doc: "cost of exactly-once against at-least-once",
  async run({ quick, say, stack: start }) {
    const stack = await start();
    const folds: WarmFolds[] = [];
    try {
      const plan = { shape: smallShape, groupSize };
      folds.push(
        await startFolds(stack, { ...plan, name: "at_least_once", plain: true }),
        await startFolds(stack, { ...plan, name: "exactly_once" }),
      );
      const measured = await takeTurns(folds, quick ? 1 : 4, quick ? 500 : 3000, say);
      return [costTable(measured)];
    } finally {
      await closeAll(stack, folds);
    }
  },
};

function costTable(measured: readonly Measured[]): Table {
  return {
    title: "Exactly once against at least once",
    head,
    rows: rowsOf(measured),
    notes: [
      `${how} \`at_least_once\` is infra/bench/plain-folds.ts: the same roles on the same runtime, but a transaction is a plain idempotent produce and the offset a plain OffsetCommit.`,
      "Cost of exactly-once: the ratios of its row, less 1. CPU is what throughput costs when something else is busy; time to transitions is longer than that because a stage sees what the one before it did only when it has committed.",
    ],
  };
}
