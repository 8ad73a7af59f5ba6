import { foldsNice } from "../process-priority.ts";
import { amount, type Bench, median, spread, type Table } from "./bench.ts";
import { runStored, type StoredRun, type StoreWork, startStore } from "./run-store.ts";
import { foldsGroup } from "./stack.ts";

/** Nice values that are tried: like the others', half way, and what is in force. */
const tried = [0, 5, foldsNice];

/** What it is worth that the folds stand back behind the doors while cores are scarce. */
export const priority: Bench = {
  name: "priority",
  doc: "the store's API with the folds at the doors' priority, and standing back: rollouts/s, lag",
  async run({ quick, say, stack: start }) {
    const rounds = quick ? 1 : 3;
    const rollouts = quick ? 64 : 3000;
    const works: StoreWork[] = [
      { clients: 64, spans: "otlp", rollouts },
      { clients: 64, spans: "json", rollouts },
      { clients: 16, spans: "json", rollouts },
    ];
    const stack = await start();
    try {
      const ours = await startStore(stack);
      for (const work of quick ? [] : works) await runStored(stack, ours, work);
      const runs = new Map<string, StoredRun[]>();
      for (let round = 0; round < rounds; round++) {
        for (const work of works) {
          // In turns, the first of a round last in the next one.
          for (const nice of [...tried.slice(round % 3), ...tried.slice(0, round % 3)]) {
            stack.nice(foldsGroup, nice);
            const run = await runStored(stack, ours, work);
            const key = `${nameOf(work)}|${nice}`;
            runs.set(key, [...(runs.get(key) ?? []), run]);
            say(
              `${nameOf(work)}, nice ${nice}: ${amount(rollouts / run.loaded.seconds)} rollouts/s`,
            );
          }
        }
      }
      return [tableOf(works, runs, rounds)];
    } finally {
      await stack.close();
    }
  },
};

const nameOf = ({ spans, clients }: StoreWork): string =>
  `${spans === "otlp" ? "one OTLP request" : "one by one"}, ${clients} clients`;

function tableOf(
  works: readonly StoreWork[],
  all: ReadonlyMap<string, readonly StoredRun[]>,
  rounds: number,
): Table {
  const rows = works.flatMap((work) => {
    const rates = (nice: number): number[] =>
      (all.get(`${nameOf(work)}|${nice}`) ?? []).map(
        ({ loaded }) => work.rollouts / loaded.seconds,
      );
    return tried.map((nice) => {
      const runs = all.get(`${nameOf(work)}|${nice}`) ?? [];
      return [
        nameOf(work),
        nice === 0 ? "like the others" : `nice ${nice}`,
        spread(rates(nice)),
        amount(median(rates(nice)) / median(rates(0)), 2),
        spread(
          runs.map(({ loaded }) => loaded.times.end.p50),
          1,
        ),
        spread(
          runs.map(({ behind }) => behind),
          1,
        ),
        spread(
          runs.map(({ cpuMs }) => cpuMs / work.rollouts),
          2,
        ),
      ];
    });
  });
  return {
    title: "The folds stand back behind the doors",
    head: [
      "ten spans a rollout",
      "folds",
      "rollouts/s",
      "÷ like the others",
      "p50 of an end, ms",
      "s until all is in ClickHouse",
      "CPU-ms a rollout",
    ],
    rows,
    notes: [
      `The work of \`store\`, ${rounds} times each in turns on one stack, whose folds are given the one or the other priority before. "s until all is in ClickHouse" starts with the last answer. Giving a priority back takes root.`,
    ],
  };
}
