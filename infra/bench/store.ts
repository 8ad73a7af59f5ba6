import { referencePython } from "../compat/reference-python.ts";
import { startReference } from "../compat/reference-server.ts";
import { amount, type Bench, type BenchContext, median, spread, type Table } from "./bench.ts";
import { callKinds, type StoreLoaded } from "./load-store.ts";
import { cpuBetween, usageOf } from "./processes.ts";
import { total } from "./run-live.ts";
import { loadStore, runStored, type StoreWork, startStore } from "./run-store.ts";

type Side = "reference" | "ours";

/** What one run of the work took on one side. */
type Run = {
  readonly side: Side;
  readonly work: StoreWork;
  readonly loaded: StoreLoaded;
  /** Of all processes of the side, until its last row is where it stays. */
  readonly cpuMs: number;
};

/** The store's API, ours against the reference's own server in memory mode. */
export const store: Bench = {
  name: "store",
  doc: "the same HTTP work at the reference's server and at ours: rollouts/s, p50/p99 a call, CPU",
  async run(context) {
    const { quick } = context;
    const kinds: Omit<StoreWork, "rollouts">[] = (quick ? [16] : [16, 64]).flatMap((clients) => [
      { clients, spans: "otlp" },
      { clients, spans: "json" },
    ]);
    const theirs = await runReference(context, kinds);
    const ours = await runOurs(context, kinds);
    return tablesOf([...theirs, ...ours]);
  },
};

/** A run of the reference is left out when it would take longer than this, s. */
const referenceWithin = 120;

async function runReference(
  { quick, say }: BenchContext,
  kinds: readonly Omit<StoreWork, "rollouts">[],
) {
  const python = await referencePython(say);
  const runs: Run[] = [];
  for (const kind of kinds) {
    let seconds = 0;
    for (const rollouts of quick ? [64] : [400, 3000]) {
      // It slows down with what it holds, so the second one takes at least as long in proportion.
      if (seconds * (rollouts / 400) > referenceWithin) continue;
      const server = await startReference(python, "agl store");
      try {
        const roots = { reference: server.pid };
        const before = usageOf(roots);
        const loaded = await loadStore({ ...kind, rollouts, url: server.url });
        const cpuMs = total(cpuBetween(before, usageOf(roots)));
        seconds = loaded.seconds;
        runs.push({ side: "reference", work: { ...kind, rollouts }, loaded, cpuMs });
      } finally {
        await server.stop();
      }
      say(lineOf(runs.at(-1)));
    }
  }
  return runs;
}

const sizes = [400, 3000, 5000];
/** Runs of ours of each size. */
const rounds = 3;
/** Rollouts of each kind before the first run. */
const warmUp = 4000;

async function runOurs(
  { quick, say, stack: start }: BenchContext,
  kinds: readonly Omit<StoreWork, "rollouts">[],
) {
  const each = (counts: readonly number[]): StoreWork[] =>
    counts.flatMap((rollouts) => kinds.map((kind) => ({ ...kind, rollouts })));
  const stack = await start();
  try {
    const ours = await startStore(stack);
    const runs: Run[] = [];
    // A server that has just started compiles more than it works, the broker's Java above all.
    const warm = quick ? [] : each([warmUp]);
    const works = quick ? each([64]) : Array.from({ length: rounds }, () => each(sizes)).flat();
    for (const [i, work] of [...warm, ...works].entries()) {
      const { loaded, cpuMs } = await runStored(stack, ours, work);
      if (i < warm.length) continue;
      const run: Run = { side: "ours", work, loaded, cpuMs };
      runs.push(run);
      say(lineOf(run));
    }
    return runs;
  } finally {
    await stack.close();
  }
}

const nameOf = ({ clients, spans }: Omit<StoreWork, "rollouts">): string =>
  `${spans === "otlp" ? "one OTLP request" : "one by one"}, ${clients} clients`;

const rateOf = ({ work, loaded }: Run): number => work.rollouts / loaded.seconds;

function lineOf(run: Run | undefined): string {
  if (run === undefined) return "";
  return `${run.side}, ${nameOf(run.work)}, ${run.work.rollouts}: ${amount(rateOf(run))} rollouts/s`;
}

/** The runs of one row. */
type Row = readonly [Run, ...Run[]];

function rowsOf(runs: readonly Run[]): Row[] {
  const rows = new Map<string, [Run, ...Run[]]>();
  for (const run of runs) {
    const key = `${nameOf(run.work)}/${run.side}/${run.work.rollouts}`;
    const row = rows.get(key);
    if (row === undefined) rows.set(key, [run]);
    else row.push(run);
  }
  const names = [...new Set(runs.map(({ work }) => nameOf(work)))];
  return names.flatMap((name) => [...rows.values()].filter(([{ work }]) => nameOf(work) === name));
}

/** The reference's run that is nearest in size to one of ours. */
function rival(runs: readonly Run[], { work }: Run): Run | undefined {
  const same = runs.filter((run) => run.side === "reference" && nameOf(run.work) === nameOf(work));
  const distance = (run: Run): number => Math.abs(run.work.rollouts - work.rollouts);
  return same.sort((a, b) => distance(a) - distance(b))[0];
}

const cpuOf = (run: Run): number => run.cpuMs / run.work.rollouts;

function rateRow(row: Row, other: Run | undefined): string[] {
  const over = (of: (run: Run) => number, digits: number): string =>
    other === undefined ? "" : amount(median(row.map(of)) / of(other), digits);
  return [
    spread(row.map(rateOf)),
    over(rateOf, 1),
    spread(row.map(cpuOf), 2),
    over(cpuOf, 2),
    amount(median(row.map(({ loaded, work }) => loaded.cpuMs / work.rollouts)), 2),
  ];
}

function timesRow(row: Row): string[] {
  return callKinds.map((kind) => {
    const of = (name: "p50" | "p99"): number =>
      median(row.map(({ loaded }) => loaded.times[kind][name]));
    return `${amount(of("p50"), 1)} / ${amount(of("p99"), 1)}`;
  });
}

export function tablesOf(runs: readonly Run[]): readonly Table[] {
  const rows = rowsOf(runs);
  const first = ([{ work, side }]: Row): string[] => [nameOf(work), side, amount(work.rollouts)];
  const other = ([run]: Row): Run | undefined =>
    run.side === "ours" ? rival(runs, run) : undefined;
  return [
    {
      title: "The store's API: rollouts a second",
      head: [
        "ten spans a rollout",
        "server",
        "rollouts",
        "rollouts/s",
        "÷ reference",
        "CPU-ms a rollout",
        "÷ reference",
        "of the load, CPU-ms",
      ],
      rows: rows.map((row) => [...first(row), ...rateRow(row, other(row))]),
      notes: [
        `Each client takes a rollout, sends its ten spans (1 or 2 LLM calls of 50 + 20 token ids with log-probs, tools, a reward), ends the attempt and queries the spans, which must be all ten; the rollouts were enqueued before in chunks of 64. The reference is \`agl store\` of agentlightning 0.3.0 in memory mode, a fresh one for each row and one run of it; ours is compared with its row of the nearest size. Ours is all that \`lightning up\` runs, warmed up by ${amount(warmUp)} rollouts of each kind, and keeps what the runs before have left: ${rounds} rounds of all sizes; its CPU counts until every span and every closed group is in ClickHouse, and a run begins when the one before is.`,
      ],
    },
    {
      title: "The store's API: ms a call, p50 / p99",
      head: ["ten spans a rollout", "server", "rollouts", "enqueue 64", ...callKinds.slice(1)],
      rows: rows.map((row) => [...first(row), ...timesRow(row)]),
      notes: [
        "Every client waits for the answer before it asks again. Load and servers share the machine's cores. Medians of the runs' own p50 and p99.",
      ],
    },
  ];
}
