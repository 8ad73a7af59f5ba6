import { createRequire } from "node:module";
import { withAdmin } from "./admin.ts";
import { classifyKafkaError, type KafkaClient, openCluster } from "./client.ts";

const require = createRequire(import.meta.url);

/** Smallest and largest version a broker takes, by number of the API. */
export type ApiVersions = ReadonlyMap<number, { readonly min: number; readonly max: number }>;

export type BrokerAddress = {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
};

/** The brokers as they advertise themselves: these addresses must be reachable, too. */
export async function advertisedBrokers(client: KafkaClient): Promise<BrokerAddress[]> {
  return withAdmin(client, async (admin) => {
    const { brokers } = await admin.describeCluster();
    return brokers.map(({ nodeId, host, port }) => ({ nodeId, host, port }));
  });
}

/** The cluster's clock against ours. */
export type ClockDifference = {
  /** Theirs minus ours, ms. */
  readonly ms: number;
  /** How much that may be off: half the round trip, ms. */
  readonly within: number;
};

export type ClusterFacts = {
  readonly apis: ApiVersions;
  /** Null where the cluster does not say (no KRaft, before 3.3, or not permitted). */
  readonly clock: ClockDifference | null;
};

type Connected = {
  connectionPool: { send(call: ProtocolCall): Promise<Buffer> };
};
type Pool = {
  versions: Record<string, { minVersion: number; maxVersion: number }> | null;
  seedBroker: Connected;
};
type ProtocolCall = {
  request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<unknown> };
  response: {
    decode(body: Buffer): Promise<Buffer>;
    parse(body: Buffer): Promise<Buffer>;
  };
  logResponseError: boolean;
};

/**
 * What kafkajs learns and does not tell (the versions of every API), and the controller's clock.
 * Changes nothing in the cluster.
 */
export async function probeCluster(client: KafkaClient): Promise<ClusterFacts> {
  const cluster = openCluster(client);
  try {
    await cluster.connect();
    const { brokerPool } = cluster as unknown as { brokerPool: Pool };
    const apis: ApiVersions = new Map(
      Object.entries(brokerPool.versions ?? {}).map(([key, { minVersion, maxVersion }]) => [
        Number(key),
        { min: minVersion, max: maxVersion },
      ]),
    );
    const asks = (apis.get(describeQuorum.key)?.max ?? 0) >= describeQuorum.version;
    return { apis, clock: asks ? await clockOf(brokerPool.seedBroker) : null };
  } catch (error) {
    throw classifyKafkaError(error, "kafka-unavailable", { brokers: client.settings.brokers });
  } finally {
    await cluster.disconnect().catch(() => undefined);
  }
}

/**
 * DescribeQuorum v1 (KIP-836): the leader reports the current time as its own LastCaughtUpTimestamp.
 * Nothing else in the protocol tells a broker's clock without writing a record.
 */
const describeQuorum = { key: 55, version: 1 } as const;

async function clockOf({ connectionPool }: Connected): Promise<ClockDifference | null> {
  const call: ProtocolCall = {
    request: {
      apiKey: describeQuorum.key,
      apiVersion: describeQuorum.version,
      apiName: "DescribeQuorum",
      encode: async () => encoderOf(quorumRequest()),
    },
    response: { decode: async (body) => body, parse: async (body) => body },
    logResponseError: false,
  };
  const before = Date.now();
  const theirs = leaderTime(await connectionPool.send(call));
  const after = Date.now();
  if (theirs === null) return null;
  return { ms: Math.round(theirs - (before + after) / 2), within: Math.ceil((after - before) / 2) };
}

function encoderOf(bytes: Buffer): unknown {
  type Encoder = new () => { writeBuffer(bytes: Buffer): unknown };
  const Encoder: Encoder = require("kafkajs/src/protocol/encoder");
  return new Encoder().writeBuffer(bytes);
}

/** Partition 0 of the one topic with a quorum; flexible encoding, every struct ends in a tag count. */
function quorumRequest(): Buffer {
  const name = Buffer.from("__cluster_metadata");
  const partition = Buffer.from([2, 0, 0, 0, 0, 0]);
  return Buffer.concat([
    Buffer.from([0, 2, name.length + 1]),
    name,
    partition,
    Buffer.from([0, 0]),
  ]);
}

/** The leader's LastCaughtUpTimestamp in a DescribeQuorum v1 answer, ms since epoch; null on an error. */
export function leaderTime(body: Buffer): number | null {
  let at = 0;
  const take = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const int16 = (): number => body.readInt16BE(take(2));
  const int32 = (): number => body.readInt32BE(take(4));
  const int64 = (): number => Number(body.readBigInt64BE(take(8)));
  // Fewer than 127 topics, partitions or voters: every count is one byte, one more than it counts.
  const count = (): number => body.readUInt8(take(1)) - 1;
  take(1);
  if (int16() !== 0 || count() < 1) return null;
  take(count());
  if (count() < 1) return null;
  int32();
  if (int16() !== 0) return null;
  const leader = int32();
  take(4 + 8);
  for (let voters = count(); voters > 0; voters--) {
    const replica = int32();
    take(8 + 8);
    const caughtUp = int64();
    take(1);
    if (replica === leader) return caughtUp > 0 ? caughtUp : null;
  }
  return null;
}

const fetchApi = 1;
/** Largest Fetch version → the Apache Kafka release that brought it. */
const fetchReleases: readonly (readonly [number, string])[] = [
  [18, "4.1 or newer"],
  [17, "3.9"],
  [16, "3.7"],
  [15, "3.5"],
  [13, "3.1"],
  [12, "2.7"],
];

/** The release of Apache Kafka that speaks these versions, as well as they tell. */
export function guessVersion(apis: ApiVersions): string {
  const range = apis.get(fetchApi);
  if (range === undefined) return "an unknown version";
  // 4.0 took the versions before Fetch 4 away and brought no newer one.
  if (range.max === 17 && range.min >= 4) return "like Apache Kafka 4.0";
  const release = fetchReleases.find(([version]) => range.max >= version)?.[1];
  return release === undefined ? "older than Apache Kafka 2.7" : `like Apache Kafka ${release}`;
}

const transactionApis = {
  22: "InitProducerId",
  24: "AddPartitionsToTxn",
  25: "AddOffsetsToTxn",
  26: "EndTxn",
  28: "TxnOffsetCommit",
};

/** Calls that exactly-once needs and this cluster does not take. */
export function missingForTransactions(apis: ApiVersions): string[] {
  return Object.entries(transactionApis)
    .filter(([key]) => !apis.has(Number(key)))
    .map(([, name]) => name);
}
