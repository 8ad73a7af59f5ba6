/** A Kafka client under one of our access patterns, each in a process of its own. */
export type ClientName = "kafkajs, ours" | "kafkajs, stock" | "@platformatic/kafka 1.35";

export type ClientJob = {
  readonly client: ClientName;
  readonly brokers: string;
  readonly topic: string;
} & (
  | { readonly work: "produce"; readonly batch: number; readonly batches: number }
  | { readonly work: "fetch"; readonly records: number }
  | { readonly work: "transact"; readonly batch: number; readonly batches: number }
  | { readonly work: "idle"; readonly connections: number; readonly ms: number }
);

export type ClientResult = {
  readonly records: number;
  readonly ms: number;
  readonly cpuMs: number;
  /** Each request's or transaction's duration, ms. */
  readonly each: readonly number[];
};

/** What a client can do; all with acks=all, partition 0, no compression. */
export type Client = {
  openProducer(): Promise<{ send(values: readonly Buffer[]): Promise<void> }>;
  /** Each call is one transaction with the records and the group's offset. */
  openTransactions(): Promise<{
    transact(values: readonly Buffer[], offset: number): Promise<void>;
  }>;
  /** Reads committed records of partition 0 from its start until so many came. */
  fetch(records: number): Promise<number>;
  /** Opens connections that then do nothing. */
  connect(connections: number): Promise<void>;
};

export const group = "bench-clients";
export const value = Buffer.from(
  Array.from({ length: 600 }, (_, i) => 32 + ((i * i * 7 + i) % 90)),
);
