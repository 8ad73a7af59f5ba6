import { standBack } from "../process-priority.ts";
import { amount, type Bench, median, spread, type Table } from "./bench.ts";
import { runStored, type StoredRun, type StoreWork, startStore } from "./run-store.ts";
import { foldsGroup } from "./stack.ts";

type Priority = { readonly name: string; readonly folds: number; readonly clickhouse: number };

/** What is tried; the last is in force. */
const tried: readonly Priority[] = [
  { name: "like the others", folds: 0, clickhouse: 0 },
  { name: "folds at nice 5", folds: 5, clickhouse: 0 },
  {
    name: `folds and ClickHouse at nice ${standBack}`,
    folds: standBack,
    clickhouse: standBack,
  },
];

/** What it is worth that the folds and ClickHouse stand back behind the doors while cores are scarce. */
export const priority: Bench = {
  name: "priority",
  doc: "the store's API with folds and ClickHouse at the doors' priority, and standing back: rollouts/s, lag",
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
          const from = round % tried.length;
          for (const one of [...tried.slice(from), ...tried.slice(0, from)]) {
            stack.nice(foldsGroup.name, one.folds);
            stack.nice("clickhouse", one.clickhouse);
            const run = await runStored(stack, ours, work);
            const key = `${nameOf(work)}|${one.name}`;
            runs.set(key, [...(runs.get(key) ?? []), run]);
            say(
              `${nameOf(work)}, ${one.name}: ${amount(rollouts / run.loaded.seconds)} rollouts/s`,
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
  const first = tried[0]?.name ?? "";
  const rows = works.flatMap((work) => {
    const rates = (name: string): number[] =>
      (all.get(`${nameOf(work)}|${name}`) ?? []).map(
        ({ loaded }) => work.rollouts / loaded.seconds,
      );
    return tried.map(({ name }) => {
      const runs = all.get(`${nameOf(work)}|${name}`) ?? [];
      return [
        nameOf(work),
        name,
        spread(rates(name)),
        amount(median(rates(name)) / median(rates(first)), 2),
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
    title: "Folds and ClickHouse stand back behind the doors",
    head: [
      "ten spans a rollout",
      "priority",
      "rollouts/s",
      "÷ like the others",
      "p50 of an end, ms",
      "s until all is in ClickHouse",
      "CPU-ms a rollout",
    ],
    rows,
    notes: [
      `The work of \`store\`, ${rounds} times each in turns on one stack, whose processes are given the one or the other priority before. "s until all is in ClickHouse" starts with the last answer. Giving a priority back takes root.`,
    ],
  };
}
