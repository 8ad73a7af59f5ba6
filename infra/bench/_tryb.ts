import { startStack, plainFoldsGroup } from "./stack.ts";
import { startFolds } from "./run-backlog.ts";
import { total } from "./run-live.ts";
import { smallShape, longShape } from "./workload.ts";
import { machineLoad } from "./processes.ts";
const [n = "3000", reps = "3", prof] = process.argv.slice(2);
const stack = await startStack(prof ? { profileDir: prof } : {});
try {
  const variants = (process.env.V ?? "eos").split(",");
  const all = [];
  for (const v of variants) all.push(await startFolds(stack, { name: v.replace("=","_"), shape: process.env.LONG ? longShape : smallShape, groupSize: 4, ...(v === "plain" ? { folds: plainFoldsGroup } : {}), settings: v.startsWith("c_") ? { KAFKA_COMPRESSION: v.slice(2) } : {} }));
  for (let i = 0; i < Number(reps); i++) for (const f of all) {
    const load = machineLoad();
    const r = await f.run(Number(n));
    console.log(f.name.padEnd(8), JSON.stringify({ tr: Math.round(r.spans / r.toTransitions), rows: Math.round(r.spans / r.toRows), cpuPer: +(total(r.cpuMs) / r.rollouts).toFixed(2), cpu: Object.fromEntries(Object.entries(r.cpuMs).map(([k, v]) => [k, +(v / r.rollouts).toFixed(2)])), load: +load().toFixed(2) }));
  }
  for (const f of all) await f.close();
} finally { await stack.close(); }
process.exit(0);
