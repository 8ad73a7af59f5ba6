/**
 * What kafkajs 2.2.4 needs before it carries load; applied once, on import. Evidence for each is in
 * infra/decisions/0001-kafka-client.md.
 */
import { createRequire } from "node:module";
import zlib from "node:zlib";
import { decompress as unzstd } from "fzstd";
import kafkajs from "kafkajs";
import { compressFrame, decompressFrame } from "lz4-napi";
import { compress as snappyCompress, uncompress as snappyUncompress } from "snappy";
import { LightningError } from "../../schemas/errors.ts";

const require = createRequire(import.meta.url);
const { CompressionCodecs, CompressionTypes } = kafkajs;

type RequestQueue = {
  pending: unknown[];
  scheduleCheckPendingRequests(): void;
};

type Encoder = { buffer: Buffer };
type Codec = {
  compress(encoder: Encoder): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
};

/**
 * The request queue re-arms a 1 ms timer for ever even with nothing pending (kafkajs #1751): about
 * 6 % of a core for each idle connection. With nothing pending there is nothing to check.
 */
function stopIdleTimer(): void {
  const queue: { prototype: RequestQueue } = require("kafkajs/src/network/requestQueue");
  const schedule = queue.prototype.scheduleCheckPendingRequests;
  queue.prototype.scheduleCheckPendingRequests = function check(this: RequestQueue): void {
    if (this.pending.length > 0) schedule.call(this);
  };
}

const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const xerialHeader = Buffer.concat([xerialMagic, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]);

/** Snappy as Java's clients frame it: a header, then length-prefixed blocks. */
const snappy: Codec = {
  async compress({ buffer }) {
    const block = await snappyCompress(buffer);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(block.length);
    return Buffer.concat([xerialHeader, length, block]);
  },
  async decompress(buffer) {
    if (!buffer.subarray(0, 8).equals(xerialMagic)) return bytesOf(await snappyUncompress(buffer));
    const blocks: Buffer[] = [];
    for (let at = xerialHeader.length; at < buffer.length; ) {
      const length = buffer.readUInt32BE(at);
      blocks.push(bytesOf(await snappyUncompress(buffer.subarray(at + 4, at + 4 + length))));
      at += 4 + length;
    }
    return Buffer.concat(blocks);
  },
};

const lz4: Codec = {
  compress: ({ buffer }) => compressFrame(buffer),
  decompress: (buffer) => decompressFrame(buffer),
};

type Zstd = { zstdCompressSync?: (buffer: Buffer) => Buffer };

/** Reading works on every Node; writing needs zlib's own zstd, Node 22.15 and later. */
const zstd: Codec = {
  async compress({ buffer }) {
    const compress = (zlib as Zstd).zstdCompressSync;
    if (compress === undefined) {
      throw new LightningError(
        "config-invalid",
        `KAFKA_COMPRESSION is zstd, which needs Node 22.15 or later to write; this is ${process.version}: use lz4, snappy, gzip or none`,
      );
    }
    return compress(buffer);
  },
  decompress: async (buffer) => Buffer.from(unzstd(buffer)),
};

function bytesOf(data: string | Buffer): Buffer {
  return typeof data === "string" ? Buffer.from(data) : data;
}

/** kafkajs ships gzip alone. */
function registerCodecs(): void {
  CompressionCodecs[CompressionTypes.Snappy] = () => snappy;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
}

type Decoder = { buffer: Buffer; offset: number };
type DecodeMessages = (decoder: Decoder) => Promise<unknown[]>;

/** What a fetched list of messages also knows: the offset behind its last whole batch. */
export type WithNextOffset = { nextOffset?: number };

/**
 * kafkajs forgets where a record batch ends. Compaction leaves batches with their last records, or
 * all of them, removed; a reader that goes on behind the last record it saw reads such a batch for
 * ever. The fetched list carries the end of its last batch.
 */
function keepBatchEnds(): void {
  const path = require.resolve("kafkajs/src/protocol/requests/fetch/v4/decodeMessages");
  const decode: DecodeMessages = require(path);
  const cached = require.cache[path];
  if (cached === undefined) throw new Error("kafkajs/src/protocol/requests/fetch is not cached");
  cached.exports = async (decoder: Decoder): Promise<unknown[]> => {
    const nextOffset = endOfBatches(decoder);
    const messages: unknown[] & WithNextOffset = await decode(decoder);
    if (nextOffset !== undefined) messages.nextOffset = nextOffset;
    return messages;
  };
}

const batchOverhead = 12;
const lastOffsetDeltaAt = 23;
const smallestBatch = 61;

/** Offset behind the last whole batch of a record set that starts with its int32 length. */
function endOfBatches({ buffer, offset }: Decoder): number | undefined {
  const end = offset + 4 + buffer.readInt32BE(offset);
  let next: number | undefined;
  for (let at = offset + 4; at + smallestBatch <= end && end <= buffer.length; ) {
    const size = batchOverhead + buffer.readInt32BE(at + 8);
    if (at + size > end) break;
    next = Number(buffer.readBigInt64BE(at)) + buffer.readInt32BE(at + lastOffsetDeltaAt) + 1;
    at += size;
  }
  return next;
}

let applied = false;

/** Applies the patches; a second call does nothing. */
export function hardenKafkaJs(): void {
  if (applied) return;
  applied = true;
  stopIdleTimer();
  keepBatchEnds();
  registerCodecs();
}
