import { setTimeout as sleep } from "node:timers/promises";
import { amount, type Bench } from "./bench.ts";
import { cpuBetween } from "./processes.ts";
import { startLive, total } from "./run-live.ts";

/** Everything up, nothing to do. */
export const idle: Bench = {
  name: "idle",
  doc: "idle CPU and memory of every process",
  async run({ quick, say, stack: start }) {
    const stack = await start();
    try {
      const live = await startLive(stack, "idle");
      await live.watch.close();
      await sleep(quick ? 3000 : 15_000);
      const seconds = quick ? 5 : 40;
      const before = stack.usage();
      await sleep(seconds * 1000);
      const after = stack.usage();
      const cpu = cpuBetween(before, after);
      const share = (ms: number): string => `${amount(ms / (seconds * 10), 2)} %`;
      const memory = Object.values(after).reduce((sum, { rssMb }) => sum + rssMb, 0);
      const rows = [
        ...Object.entries(after).map(([name, { rssMb }]) => [
          name,
          share(cpu[name] ?? 0),
          amount(rssMb),
        ]),
        ["all", share(total(cpu)), amount(memory)],
      ];
      say(`idle: ${share(total(cpu))} of a core, ${amount(memory)} MiB`);
      await live.close();
      return [
        {
          title: "Idle: the whole stack with nothing to do",
          head: ["process", "CPU, % of one core", "resident, MiB"],
          rows,
          notes: [
            `Over ${seconds} s, 4 partitions, after start-up has settled. Each process with what it started (tsx' compiler, esbuild, stays alive beside each Node process).`,
          ],
        },
      ];
    } finally {
      await stack.close();
    }
  },
};
