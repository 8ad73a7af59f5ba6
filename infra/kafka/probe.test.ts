import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ApiVersions, guessVersion, leaderTime, missingForTransactions } from "./probe.ts";

const apis = (min: number, max: number): ApiVersions => new Map([[1, { min, max }]]);

/** A DescribeQuorum v1 answer with these voters: [replica, last caught up]. */
function answer(leader: number, voters: readonly (readonly [number, number])[], error = 0): Buffer {
  const int16 = (n: number) => Buffer.from([n >> 8, n & 255]);
  const int32 = (n: number) => Buffer.concat([Buffer.alloc(2), int16(n)]);
  const int64 = (n: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(n));
    return bytes;
  };
  const name = Buffer.from("__cluster_metadata");
  return Buffer.concat([
    Buffer.from([0]),
    int16(error),
    Buffer.from([2, name.length + 1]),
    name,
    Buffer.from([2]),
    int32(0),
    int16(0),
    int32(leader),
    int32(7),
    int64(99),
    Buffer.from([voters.length + 1]),
    ...voters.flatMap(([id, at]) => [int32(id), int64(99), int64(-1), int64(at), Buffer.alloc(1)]),
    Buffer.from([1, 0, 0, 0]),
  ]);
}

describe("what a cluster tells of itself", () => {
  test("the leader's clock is the cluster's, not a follower's", () => {
    const now = 1_795_462_139_120;
    const voters = [
      [1, now - 500],
      [2, now],
      [3, -1],
    ] as const;
    assert.equal(leaderTime(answer(2, voters)), now);
    assert.equal(leaderTime(answer(3, voters)), null);
    assert.equal(leaderTime(answer(2, voters, 31)), null);
    assert.equal(leaderTime(answer(9, voters)), null);
  });

  test("its release is guessed from the versions of Fetch", () => {
    assert.equal(guessVersion(apis(4, 18)), "like Apache Kafka 4.1 or newer");
    assert.equal(guessVersion(apis(4, 17)), "like Apache Kafka 4.0");
    assert.equal(guessVersion(apis(0, 17)), "like Apache Kafka 3.9");
    assert.equal(guessVersion(apis(0, 12)), "like Apache Kafka 2.7");
    assert.equal(guessVersion(apis(0, 7)), "older than Apache Kafka 2.7");
    assert.equal(guessVersion(new Map()), "an unknown version");
  });

  test("the calls that exactly-once needs and it does not take are named", () => {
    const range = { min: 0, max: 3 };
    const some: ApiVersions = new Map([22, 25, 26, 28].map((key) => [key, range]));
    assert.deepEqual(missingForTransactions(some), ["AddPartitionsToTxn"]);
  });
});
