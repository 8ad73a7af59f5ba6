/** A message of a topic with so many partitions, as kafkajs asks where it goes. */
type Choosing = {
  readonly partitionMetadata: readonly unknown[];
  readonly message: {
    readonly key?: Buffer | string | null;
    readonly partition?: number | null;
  };
};

type Partitioner = (choosing: Choosing) => number;

/**
 * In the place of kafkajs' default partitioner, which hashes in big integers and filters the
 * partitions for every message. The partitions are the same. Records of a rollout come one behind the
 * other, so the key is mostly the one before.
 *
 * @param theirs makes kafkajs' own partitioner, which keeps the messages without a key.
 * @returns makes a partitioner for one producer.
 */
export function partitionByKey(theirs: () => Partitioner): () => Partitioner {
  return () => {
    const withoutKey = theirs();
    let lastKey = "";
    let lastHash = murmur2(Buffer.alloc(0));
    return (choosing) => {
      const { key, partition } = choosing.message;
      if (partition !== undefined && partition !== null) return partition;
      if (key === undefined || key === null) return withoutKey(choosing);
      const hash = key === lastKey ? lastHash : murmur2(Buffer.from(key as string));
      if (typeof key === "string") {
        lastKey = key;
        lastHash = hash;
      }
      return (hash & 0x7fffffff) % choosing.partitionMetadata.length;
    };
  };
}

const m = 0x5bd1e995;
const seed = 0x9747b28c;

/** MurmurHash 2, 32 bits, with the seed of Java's Kafka clients; signed as theirs. */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes;
  let hash = seed ^ length;
  const tail = length & ~3;
  for (let at = 0; at < tail; at += 4) {
    let word =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24);
    word = Math.imul(word, m);
    word = Math.imul(word ^ (word >>> 24), m);
    hash = Math.imul(hash, m) ^ word;
  }
  if (length > tail) {
    for (let at = length - 1; at >= tail; at--) hash ^= (bytes[at] ?? 0) << (8 * (at - tail));
    hash = Math.imul(hash, m);
  }
  hash = Math.imul(hash ^ (hash >>> 13), m);
  return hash ^ (hash >>> 15);
}
