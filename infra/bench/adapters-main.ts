/** Our adapters on the traces of one file, timed: the other side of adapters.py. */

import { markOf } from "../../processors/fixtures.ts";
import { padder } from "../../processors/rows/pad.ts";
import { turnsOfTriplets } from "../../processors/rows/rows-of-triplets.ts";
import { rowsOfTurns } from "../../processors/rows/rows-of-turns.ts";
import { assembledRecords } from "../../processors/traces/assembled.ts";
import { readSpan } from "../../processors/traces/read-span.ts";
import { byAttempt, readSpans } from "../commands/read-spans.ts";
import { adapters } from "../commands/triplets/adapters.ts";
import { answerParent } from "./child.ts";

export type AdaptersJob = {
  readonly file: string;
  /** How long each kind of work is repeated. */
  readonly seconds: number;
  /** Widths of a padded batch by level, tokens: prompt and response. */
  readonly widths: Readonly<Record<Level, readonly [number, number]>>;
};

export type Level = "transition" | "trajectory";

/** CPU-ms of each pass over all rollouts, and what one pass makes. */
export type RowPasses = { readonly ms: readonly number[]; readonly rows: number };

/** What either side found. */
export type AdaptersTimed = {
  readonly calls: number;
  readonly triplets: readonly number[];
  readonly rows: Readonly<Record<Level, RowPasses>>;
};

/** Ours has the pipeline's own way from spans to steps beside it, and rows without padding. */
export type OursTimed = AdaptersTimed & {
  readonly steps: readonly number[];
  readonly bare: Readonly<Record<Level, RowPasses>>;
};

/** Rows of a padded batch: a trainer takes a few hundred at a time. */
const batch = 256;

const place = { partition: 0, offset: 0, timestamp: 0 };
const writing = { partition: 0, markOffset: 0, revision: 0 };

async function measure({ file, seconds, widths }: AdaptersJob): Promise<OursTimed> {
  const rollouts = byAttempt((await readSpans(file)).spans);
  const [triplets, found] = passes(seconds, () =>
    rollouts.map(({ rollout_id, items }) => ({
      rollout_id,
      triplets: adapters.tracer.adapt(items, {}).items,
    })),
  );
  const [steps] = passes(seconds, () =>
    rollouts.map(({ rollout_id, attempt_id, items }) => {
      const kept = items.map((span) => readSpan(span, place));
      return assembledRecords(kept, markOf({ rollout_id, attempt_id }), writing).length;
    }),
  );
  // The reference's rules, so that both make the same rows.
  const rowsOf = (level: Level) => {
    const [prompt, response] = widths[level];
    const limits = { prompt, response, overflow: "response" } as const;
    const options = { level, several: false, limits, keepEmpty: true };
    return rowsOfTurns(found.map(turnsOfTriplets), options).rows;
  };
  const bare = (level: Level): RowPasses => {
    const [ms, rows] = passes(seconds, () => rowsOf(level).length);
    return { ms, rows };
  };
  const padded = (level: Level): RowPasses => {
    const [prompt, response] = widths[level];
    // A trainer pads one batch after the other.
    const pad = padder({ prompt, response, pad_id: 0, bfloat16: true });
    const [ms, rows] = passes(seconds, () => {
      const made = rowsOf(level);
      for (let i = 0; i < made.length; i += batch) pad(made.slice(i, i + batch));
      return made.length;
    });
    return { ms, rows };
  };
  return {
    calls: found.reduce((sum, one) => sum + one.triplets.length, 0),
    triplets,
    steps,
    rows: { transition: padded("transition"), trajectory: padded("trajectory") },
    bare: { transition: bare("transition"), trajectory: bare("trajectory") },
  };
}

/** CPU-ms of each of at least three passes, for about so many seconds; and the last result. */
function passes<T>(seconds: number, work: () => T): readonly [readonly number[], T] {
  const took: number[] = [];
  const until = performance.now() + seconds * 1000;
  let result: T;
  do {
    const before = process.cpuUsage();
    result = work();
    const { user, system } = process.cpuUsage(before);
    took.push((user + system) / 1000);
  } while (took.length < 3 || performance.now() < until);
  return [took, result];
}

answerParent<AdaptersJob, OursTimed>(measure);
