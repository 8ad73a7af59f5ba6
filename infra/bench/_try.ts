import { startStack } from "./stack.ts";
import { runLive, startLive, total } from "./run-live.ts";
import { smallShape, longShape } from "./workload.ts";
import { quantile } from "./bench.ts";
const [n = "500", reps = "3", perRequest = "4", runners = "48", prof] = process.argv.slice(2);
const stack = await startStack(prof ? { profileDir: prof } : {});
try {
  const live = await startLive(stack, "try");
  console.log("started", stack.usage());
  const totals = { spans: 0, transitions: 0 };
  for (let i = 0; i <= Number(reps); i++) {
    const r = await runLive(stack, live, totals, { run: `r${i}`, rollouts: i === 0 ? 300 : Number(n), groupSize: 4, shape: process.env.LONG ? longShape : smallShape, runners: Number(runners), perRequest: Number(perRequest), rate: null });
    const s = r.loaded.spans;
    console.log(JSON.stringify({ ends: Math.round(s / r.toEnds), tr: Math.round(s / r.toTransitions), rows: Math.round(s / r.toRows), loadCpu: r.loaded.cpuMs / r.loaded.ended.length, perRollout: total(r.cpuMs) / r.loaded.ended.length, cpu: Object.fromEntries(Object.entries(r.cpuMs).map(([k, v]) => [k, +(v / r.loaded.ended.length).toFixed(2)])), kb: r.loaded.bytes / s, p50: quantile(r.latencies, .5), p99: quantile(r.latencies, .99) }));
  }
  await live.close();
} finally { await stack.close(); }
process.exit(0);
