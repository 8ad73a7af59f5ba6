import { amount, type Bench, spread } from "./bench.ts";
import { generate } from "./load.ts";
import { total } from "./run-live.ts";
import { apart, gatewayGroup, type Settings, whileMeasured } from "./stack.ts";

const connections = 8;
const codecs = ["none", "lz4", "snappy"] as const;

type Runs = { readonly rates: number[]; readonly cpu: number[]; generatorMs: number };

/** OTLP/HTTP to Kafka's acknowledgement, nothing behind it; the codecs take turns. */
export const ingest: Bench = {
  name: "ingest",
  doc: "spans/s through gateway → Kafka ack, by codec",
  async run({ quick, say, stack: start }) {
    const requests = quick ? 150 : 600;
    const stack = await start();
    try {
      const runs = new Map(codecs.map((codec) => [codec, emptyRuns()]));
      for (let round = quick ? 1 : 0; round < (quick ? 2 : 5); round++) {
        for (const codec of codecs) {
          const own: Settings = { ...apart(`ingest_${codec}`), KAFKA_COMPRESSION: codec };
          const { gateway = "" } = await stack.start(gatewayGroup, own);
          const job = { job: "ingest", gateway, connections } as const;
          // Code that runs for the first time is slow: these are not counted.
          await generate({ ...job, requests: quick ? 50 : 200 });
          const { result, cpuMs } = await whileMeasured(stack, () =>
            generate({ ...job, requests }),
          );
          await stack.stop(gatewayGroup);
          const rate = (result.spans / (result.to - result.from)) * 1000;
          say(`ingest ${codec}: ${amount(rate)} spans/s`);
          note(runs.get(codec), round, rate, (total(cpuMs) / result.spans) * 1000, result.cpuMs);
        }
      }
      return [tableOf(runs, requests)];
    } finally {
      await stack.close();
    }
  },
};

function emptyRuns(): Runs {
  return { rates: [], cpu: [], generatorMs: 0 };
}

/** The broker's first round is its warm-up. */
function note(runs: Runs | undefined, round: number, rate: number, cpu: number, own: number) {
  if (runs === undefined || round === 0) return;
  runs.rates.push(rate);
  runs.cpu.push(cpu);
  runs.generatorMs += own;
}

function tableOf(runs: ReadonlyMap<string, Runs>, requests: number) {
  return {
    title: "Gateway → Kafka acknowledgement",
    head: ["codec", "spans/s", "CPU-s per million spans, stack", "runs"],
    rows: [...runs].map(([codec, { rates, cpu }]) => [
      codec,
      spread(rates),
      spread(cpu),
      String(rates.length),
    ]),
    notes: [
      `OTLP/HTTP protobuf, spans of 10 attributes and about 1 kB, 100 spans a request, ${connections} connections, ${amount(requests)} requests a run; 200 means acks=all. No reader runs beside it. The codecs take turns on one broker; its first round is not counted.`,
      "The load generator shares the two cores; its CPU is not in the table.",
    ],
  };
}
