import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What the runtime counts; names are `lightning_<noun>_<unit>_total`. */
export type Metrics = {
  readonly registry: Registry;
  readonly recordsRead: Counter<"reader" | "topic">;
  readonly recordsWritten: Counter<"reader" | "topic">;
  readonly deadLettered: Counter<"reader" | "code">;
  readonly commits: Counter<"reader">;
  readonly commitSeconds: Histogram<"reader">;
  readonly takeOvers: Counter<"reader" | "reason">;
  readonly openKeys: Gauge<"reader" | "partition">;
  readonly lag: Gauge<"reader" | "topic" | "partition">;
  readonly recordBytes: Histogram<"topic">;
};

const commitBuckets = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const sizeBuckets = [
  256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 8_388_608, 16_777_216,
];

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const reader = ["reader"] as const;
  return {
    registry,
    recordsRead: new Counter({
      name: "lightning_records_read_total",
      help: "Records folded or delivered",
      labelNames: ["reader", "topic"],
      registers,
    }),
    recordsWritten: new Counter({
      name: "lightning_records_written_total",
      help: "Records committed to Kafka",
      labelNames: ["reader", "topic"],
      registers,
    }),
    deadLettered: new Counter({
      name: "lightning_records_dead_lettered_total",
      help: "Records that can never succeed",
      labelNames: ["reader", "code"],
      registers,
    }),
    commits: new Counter({
      name: "lightning_commits_total",
      help: "Transactions committed",
      labelNames: reader,
      registers,
    }),
    commitSeconds: new Histogram({
      name: "lightning_commit_seconds",
      help: "Duration of one commit",
      labelNames: reader,
      buckets: commitBuckets,
      registers,
    }),
    takeOvers: new Counter({
      name: "lightning_take_overs_total",
      help: "Partitions taken over",
      labelNames: ["reader", "reason"],
      registers,
    }),
    openKeys: new Gauge({
      name: "lightning_open_keys",
      help: "Keys with state",
      labelNames: ["reader", "partition"],
      registers,
    }),
    lag: new Gauge({
      name: "lightning_lag_records",
      help: "Records between position and last stable offset",
      labelNames: ["reader", "topic", "partition"],
      registers,
    }),
    recordBytes: new Histogram({
      name: "lightning_record_bytes",
      help: "Size of records read; the limit is 16 MiB",
      labelNames: ["topic"],
      buckets: sizeBuckets,
      registers,
    }),
  };
}
