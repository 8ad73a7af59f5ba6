import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pythonEnvironment, referencePython } from "../compat/reference-python.ts";
import { nodeFlags } from "../supervise.ts";
import type { AdaptersJob, AdaptersTimed, OursTimed, RowPasses } from "./adapters-main.ts";
import { amount, type Bench, type BenchContext, median, type Table } from "./bench.ts";
import { forkBench } from "./child.ts";
import { type TraceShape, traceSpans } from "./traces.ts";

const run = promisify(execFile);
const script = fileURLToPath(new URL("adapters.py", import.meta.url));
const referenceWithinMs = 600_000;

/** So many tokens that a rollout of 5,000 spans has 1 MB of ids. */
const tokens = { prompt: 128, answer: 32, observed: 16 };
/** Widths of the padded batch: what the reference's examples and its defaults say. */
const widths = { transition: [4096, 2048], trajectory: [2048, 8192] } as const;

type Size = { readonly spans: number; readonly rollouts: number };
type Pair = { readonly size: Size; readonly theirs: AdaptersTimed; readonly ours: OursTimed };

/** Spans to triplets to rows, ours against the reference's adapters on the same traces. */
export const adaptersBench: Bench = {
  name: "adapters",
  doc: "the same traces to triplets, steps and training rows: calls/s and rows/s of one core, beside the reference",
  async run({ quick, say }) {
    const python = await referencePython(say);
    const folder = mkdtempSync(join(tmpdir(), "lightning-adapters-"));
    const sizes: Size[] = quick
      ? [
          { spans: 15, rollouts: 20 },
          { spans: 500, rollouts: 1 },
        ]
      : [
          // What just came in; and so many that none is in a cache any more when its turn comes again.
          { spans: 15, rollouts: 50 },
          { spans: 15, rollouts: 400 },
          { spans: 500, rollouts: 10 },
          { spans: 5000, rollouts: 1 },
        ];
    const pairs: Pair[] = [];
    try {
      for (const size of sizes) {
        const file = join(folder, `${size.rollouts}-of-${size.spans}.jsonl`);
        writeFileSync(file, linesOf(size, tokens));
        pairs.push(await runPair(python, { file, seconds: quick ? 1 : 5, widths }, size, say));
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return tablesOf(pairs);
  },
};

function linesOf({ spans, rollouts }: Size, shape: Omit<TraceShape, "spans">): string {
  const lines: string[] = [];
  for (let i = 0; i < rollouts; i++) {
    for (const span of traceSpans(`ro-${spans}-${i}`, { ...shape, spans })) {
      lines.push(JSON.stringify(span));
    }
  }
  return lines.join("\n");
}

async function runPair(
  python: string,
  job: AdaptersJob,
  size: Size,
  say: BenchContext["say"],
): Promise<Pair> {
  const words = [script, job.file, String(job.seconds), JSON.stringify(job.widths)];
  const env = { ...pythonEnvironment(), PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout } = await run(python, words, { env, timeout: referenceWithinMs });
  const theirs: AdaptersTimed = JSON.parse(stdout);
  // As every process of ours runs.
  const child = forkBench<AdaptersJob, OursTimed>("adapters-main.ts", { nodeFlags });
  try {
    const ours = await child.ask(job);
    if (ours.calls !== theirs.calls) {
      throw new Error(`${ours.calls} calls here, ${theirs.calls} at the reference`);
    }
    const pair = { size, theirs, ours };
    say(
      `adapters: ${size.rollouts} of ${size.spans} spans: ${timesAs(theirs.triplets, ours.triplets)} times as fast`,
    );
    return pair;
  } finally {
    await child.end();
  }
}

/** CPU-µs for each of so many things, by the median pass. */
const each = (passes: readonly number[], things: number): number =>
  (median(passes) * 1000) / things;

const rate = (passes: readonly number[], things: number): string =>
  amount(1e6 / each(passes, things));

const timesAs = (theirs: readonly number[], ours: readonly number[]): string =>
  amount(median(theirs) / median(ours), 1);

const levels = ["transition", "trajectory"] as const;

export function tablesOf(pairs: readonly Pair[]): readonly Table[] {
  return [tripletTable(pairs), rowTable(pairs)];
}

function tripletTable(pairs: readonly Pair[]): Table {
  const rows = pairs.map(({ size, theirs, ours }) => [
    `${size.rollouts} of ${size.spans}`,
    amount(ours.calls),
    rate(theirs.triplets, theirs.calls),
    rate(ours.triplets, ours.calls),
    timesAs(theirs.triplets, ours.triplets),
    rate(ours.steps, ours.calls),
    timesAs(theirs.triplets, ours.steps),
    ...growthOf(pairs, size, ours),
  ]);
  return {
    title: "Spans to triplets and steps: calls a second of one core",
    head: [
      "rollouts of spans",
      "calls",
      "reference, triplets/s",
      "ours, triplets/s",
      "times as fast",
      "ours, steps/s",
      "times as fast",
      "time a rollout ÷ that of 500 spans",
    ],
    rows,
    notes: [
      "Triplets: TracerTraceToTriplet of agentlightning 0.3.0 and our adapter in its form, spans parsed before. Steps: the pipeline's own way, readSpan of each span and the records of the assembler, which hold more than a triplet. CPU time of one process, garbage collection included, median of the passes. The last column is of our steps.",
    ],
  };
}

function growthOf(pairs: readonly Pair[], { spans, rollouts }: Size, ours: OursTimed): string[] {
  const small = pairs.find(({ size }) => size.spans === 500);
  if (small === undefined || spans <= 500) return [""];
  const one = median(ours.steps) / rollouts;
  return [amount(one / (median(small.ours.steps) / small.size.rollouts), 1)];
}

function rowTable(pairs: readonly Pair[]): Table {
  const rows = pairs.flatMap(({ size, theirs, ours }) =>
    levels.map((level) => {
      const [a, b] = [theirs.rows[level], ours.rows[level]];
      if (a.rows !== b.rows) throw new Error(`${b.rows} rows here, ${a.rows} at the reference`);
      const bare = ours.bare[level];
      const times = ({ ms, rows }: RowPasses): string =>
        amount(each(a.ms, a.rows) / each(ms, rows), 1);
      return [
        `${size.rollouts} of ${size.spans}`,
        level,
        amount(b.rows),
        rate(a.ms, a.rows),
        rate(b.ms, b.rows),
        times(b),
        rate(bare.ms, bare.rows),
        times(bare),
      ];
    }),
  );
  return {
    title: "Triplets to rows: rows a second of one core",
    head: [
      "rollouts of spans",
      "level",
      "rows",
      "reference, padded",
      "ours, padded",
      "times as fast",
      "ours, as rows",
      "times as fast",
    ],
    rows,
    notes: [
      "The reference is its own get_train_data_batch with numpy in place of torch; ours turnsOfTriplets, rowsOfTurns and a padder, 256 rows to a batch, each batch padded into the memory of the one before; the last two columns are without padding: rows as our trainers lease them, which the reference does not have. Both make the same rows of the same triplets. A row is as wide as the reference's examples have it at transition level (4,096 + 2,048) and as its defaults say at trajectory level (2,048 + 8,192); most of it is padding.",
    ],
  };
}
