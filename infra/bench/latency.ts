import { amount, type Bench, quantile } from "./bench.ts";
import { type LiveRun, runLive, startLive } from "./run-live.ts";
import { smallShape } from "./workload.ts";

/** From the 2xx of an attempt's end to its transition, as a read_committed reader sees it. */
export const latency: Bench = {
  name: "latency",
  doc: "p50/p99 from an attempt's end to its transition, at half load and at idle",
  async run({ quick, say, stack: start }) {
    const stack = await start();
    try {
      const live = await startLive(stack, "latency");
      const totals = { spans: 0, transitions: 0 };
      const job = { groupSize: 1, shape: smallShape, perRequest: 1, runners: 24, rate: null };
      const full = quick ? 400 : 3000;
      await runLive(stack, live, totals, { ...job, run: "warm", rollouts: full / 2 });
      const flood = await runLive(stack, live, totals, { ...job, run: "full", rollouts: full });
      // What it keeps up with, transitions and rows included.
      const most = full / flood.toRows;
      const rows: string[][] = [];
      for (const [name, rate, rollouts] of [
        ["idle, 5 rollouts/s", 5, quick ? 25 : 150],
        ["25 % of full load", most / 4, (most / 4) * (quick ? 4 : 12)],
        ["50 % of full load", most / 2, (most / 2) * (quick ? 4 : 12)],
      ] as const) {
        const wanted = { ...job, run: name, rollouts: Math.ceil(rollouts), rate };
        const run = await runLive(stack, live, totals, wanted);
        rows.push(rowOf(name, rate, run));
        say(rows.at(-1)?.join(" | ") ?? "");
      }
      await live.close();
      return [tableOf(rows, most)];
    } finally {
      await stack.close();
    }
  },
};

function rowOf(name: string, rate: number, { latencies }: LiveRun): string[] {
  const at = (q: number): string => amount(quantile(latencies, q), 1);
  return [name, amount(rate * 10), String(latencies.length), at(0.5), at(0.9), at(0.99), at(1)];
}

function tableOf(rows: readonly string[][], most: number) {
  return {
    title: "From an attempt's end (2xx) to its transition, ms",
    head: ["load", "spans/s", "attempts", "p50", "p90", "p99", "most"],
    rows,
    notes: [
      `Groups of one, so that nothing waits for others. Rollouts are enqueued at a fixed rate whatever the answers (open loop) and taken by 24 runners that poll every 20 ms. Full load is what the flood before it had in ClickHouse: ${amount(most * 10)} spans/s in this run.`,
    ],
  };
}
