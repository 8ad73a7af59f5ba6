import { amount, type Bench, spread, type Table } from "./bench.ts";
import { type Live, type LiveRun, runLive, startLive, total } from "./run-live.ts";
import type { Stack } from "./stack.ts";
import { longShape, type Shape, smallShape } from "./workload.ts";

type Case = {
  readonly name: string;
  readonly shape: Shape;
  readonly perRequest: number;
  readonly rollouts: number;
};

const runners = 48;
const groupSize = 4;

function casesOf(quick: boolean): readonly Case[] {
  const size = quick ? 10 : 1;
  return [
    { name: "one OTLP request a rollout", shape: smallShape, perRequest: 1, rollouts: 3000 / size },
    {
      name: "one OTLP request for 4 rollouts",
      shape: smallShape,
      perRequest: 4,
      rollouts: 3000 / size,
    },
    {
      name: "calls of 1,500 + 500 token ids",
      shape: longShape,
      perRequest: 1,
      rollouts: 1000 / size,
    },
  ];
}

/** Enqueue → claim → OTLP → end → transitions and rows, all roles, as `lightning up` runs them. */
export const pipeline: Bench = {
  name: "pipeline",
  doc: "spans/s through the whole pipeline to transitions and ClickHouse; CPU by process",
  async run({ quick, say, stack: start }) {
    const stack = await start();
    const measured: [Case, LiveRun[]][] = [];
    try {
      for (const [index, one] of casesOf(quick).entries()) {
        const live = await startLive(stack, `pipeline${index}`);
        measured.push([one, await runCase(stack, live, one, quick, say)]);
        await live.close();
      }
    } finally {
      await stack.close();
    }
    return [throughput(measured), cpu(measured)];
  },
};

async function runCase(
  stack: Stack,
  live: Live,
  { name, shape, perRequest, rollouts }: Case,
  quick: boolean,
  say: (line: string) => void,
): Promise<LiveRun[]> {
  const totals = { spans: 0, transitions: 0 };
  const job = { groupSize, shape, runners, perRequest, rate: null };
  await runLive(stack, live, totals, { ...job, run: "warm", rollouts: rollouts / 2 });
  const runs: LiveRun[] = [];
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    const run = await runLive(stack, live, totals, { ...job, run: `run${round}`, rollouts });
    say(
      `${name}: ${amount(run.loaded.spans / run.toRows)} spans/s, ${amount(total(run.cpuMs) / rollouts, 2)} CPU-ms a rollout`,
    );
    runs.push(run);
  }
  return runs;
}

/** Cores that stack and load generator had together: what others took is missing from the two. */
function coresGot({ cpuMs, loaded, toRows }: LiveRun): number {
  return (total(cpuMs) + loaded.cpuMs) / (toRows * 1000);
}

function throughput(measured: readonly [Case, LiveRun[]][]): Table {
  const rate = (runs: readonly LiveRun[], of: (run: LiveRun) => number): string =>
    spread(runs.map((run) => run.loaded.spans / of(run)));
  return {
    title: "Whole pipeline: spans/s from the first request",
    head: [
      "rollouts of 10 spans",
      "to the last end",
      "to transitions",
      "to ClickHouse",
      "cores it got",
      "kB/span",
    ],
    rows: measured.map(([{ name, rollouts }, runs]) => [
      `${name} (${amount(rollouts)} rollouts × ${runs.length})`,
      rate(runs, (run) => run.toEnds),
      rate(runs, (run) => run.toTransitions),
      rate(runs, (run) => run.toRows),
      spread(runs.map(coresGot), 2),
      spread(
        runs.slice(0, 1).map(({ loaded }) => loaded.bytes / loaded.spans / 1000),
        2,
      ),
    ]),
    notes: [
      `${runners} runners over HTTP, groups of ${groupSize} (group-relative), 1 or 2 LLM calls of 50 prompt and 20 response ids with log-probs, 7 or 8 tool spans, a reward; everything starts at once, so this is catching up at the end. "To transitions": until a read_committed reader has all of them; "to ClickHouse": until SQL counts every span and transition. Every transition was seen exactly once. "Cores it got": CPU of stack and load generator over the time to ClickHouse; less than two is what other programs took, or waiting.`,
    ],
  };
}

const processes = ["gateway", "folds", "broker", "clickhouse", "up"] as const;

function cpu(measured: readonly [Case, LiveRun[]][]): Table {
  return {
    title: "CPU milliseconds per 10-span rollout, by process",
    head: ["rollouts of 10 spans", "all", ...processes, "spans/s two full cores would do"],
    rows: measured.map(([{ name }, runs]) => {
      const each = (of: (run: LiveRun) => number): number[] =>
        runs.map((run) => of(run) / run.loaded.ended.length);
      const all = each((run) => total(run.cpuMs));
      return [
        name,
        spread(all, 2),
        ...processes.map((process) =>
          spread(
            each((run) => run.cpuMs[process] ?? 0),
            2,
          ),
        ),
        spread(all.map((ms) => (2000 / ms) * 10)),
      ];
    }),
    notes: [
      "utime + stime of each process and what it started, from /proc, over the run until the last row is in ClickHouse. `gateway` is gateway and trainer, `folds` the three processors and the ClickHouse sink, `up` the supervisor with the registry. Not included: the load generator " +
        `(${spread(
          measured.flatMap(([, runs]) =>
            runs.map(({ loaded }) => loaded.cpuMs / loaded.ended.length),
          ),
          2,
        )} CPU-ms a rollout) and the reader that watches. The last column is arithmetic: 2,000 ms ÷ "all" × 10.`,
    ],
  };
}
