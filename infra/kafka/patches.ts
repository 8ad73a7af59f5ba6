/**
 * What kafkajs 2.2.4 needs before it carries load; applied once, on import. Evidence for each is in
 * infra/decisions/0001-kafka-client.md.
 */
import { createRequire } from "node:module";
import zlib from "node:zlib";
import { decompress as unzstd } from "fzstd";
import { compressFrame, compressFrameSync, decompressFrame, decompressFrameSync } from "lz4-napi";
import { compress as snappyCompress, uncompress as snappyUncompress } from "snappy";
import { LightningError } from "../../schemas/errors.ts";
import { partitionByKey } from "./partitioner.ts";
import { type BatchHead, type BatchRecord, encodeBatch, encodeRecords } from "./record-batch.ts";
import { decodeRecordSet, isRecordSet } from "./record-set.ts";

const require = createRequire(import.meta.url);

type RequestQueue = {
  pending: unknown[];
  inflight: Map<number, InFlight>;
  enforceRequestTimeout: boolean;
  requestTimeoutIntervalId: NodeJS.Timeout;
  isConnected(): boolean;
  destroy(): void;
  scheduleCheckPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
};
type InFlight = { sentAt: number; requestTimeout: number; timeoutRequest(): void };

/** How late a request's time-out of many seconds may be noticed, ms. */
const timeoutCheckMs = 1000;

type Codec = {
  compress(encoder: Encoder): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
};

/**
 * The request queue re-arms a 1 ms timer for ever even with nothing pending (kafkajs #1751): up to
 * 6 % of a core for each idle connection. With nothing pending there is nothing to check. It also
 * looks for timed-out requests ten times a second, on each of the dozens of connections we have.
 */
function stopIdleTimer(): void {
  const queue: { prototype: RequestQueue } = require("kafkajs/src/network/requestQueue");
  const schedule = queue.prototype.scheduleCheckPendingRequests;
  queue.prototype.scheduleCheckPendingRequests = function check(this: RequestQueue): void {
    if (this.pending.length > 0) schedule.call(this);
  };
  queue.prototype.scheduleRequestTimeoutCheck = function check(this: RequestQueue): void {
    if (!this.enforceRequestTimeout) return;
    this.destroy();
    this.requestTimeoutIntervalId = setInterval(() => {
      const now = Date.now();
      for (const request of this.inflight.values()) {
        if (now - request.sentAt > request.requestTimeout) request.timeoutRequest();
      }
      if (!this.isConnected()) this.destroy();
    }, timeoutCheckMs);
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

/** Below this a hand-over to another thread and back costs more than the work, bytes. */
const worthAThread = 32 * 1024;

const lz4: Codec = {
  compress: async ({ buffer }) =>
    buffer.length < worthAThread ? compressFrameSync(buffer) : compressFrame(buffer),
  decompress: async (buffer) =>
    buffer.length < worthAThread ? decompressFrameSync(buffer) : decompressFrame(buffer),
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
function registerCodecs({ CompressionCodecs, CompressionTypes }: typeof kafkajs): void {
  CompressionCodecs[CompressionTypes.Snappy] = () => snappy;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
}

type Decoder = {
  buffer: Buffer;
  offset: number;
  readInt32(): number;
  canReadBytes(length: number): boolean;
  readBytes(length: number): Buffer;
};
type DecodeMessages = (decoder: Decoder) => Promise<unknown[]>;

/** What a fetched list of messages also knows: the offset behind its last whole batch. */
export type WithNextOffset = { nextOffset?: number };

/**
 * kafkajs forgets where a record batch ends. Compaction leaves batches with their last records, or
 * all of them, removed; a reader that goes on behind the last record it saw reads such a batch for
 * ever. The fetched list carries the end of its last batch. Our decoder also does without a big
 * integer, a decoder and three copies of the numbers for every record.
 */
function keepBatchEnds(): void {
  const file = "kafkajs/src/protocol/requests/fetch/v4/decodeMessages";
  const decodeOld: DecodeMessages = require(file);
  replaceModule(file, async (decoder: Decoder): Promise<unknown[]> => {
    const start = decoder.offset;
    const nextOffset = endOfBatches(decoder);
    const size = decoder.readInt32();
    if (size <= 0 || !decoder.canReadBytes(size)) return [];
    const set = decoder.readBytes(size);
    decoder.offset = isRecordSet(set) ? decoder.offset : start;
    const messages: unknown[] & WithNextOffset = isRecordSet(set)
      ? await decodeRecordSet(set, (codec) => codecOf(codec)?.decompress ?? null)
      : await decodeOld(decoder);
    if (nextOffset !== undefined) messages.nextOffset = nextOffset;
    return messages;
  });
}

/** kafkajs' table of codecs, in which ours are registered. */
const compression: {
  lookupCodec(type: number): Codec | null;
} = require("kafkajs/src/protocol/message/compression");
const codecOf = compression.lookupCodec;

/** What whoever requires the file from now on gets; nobody may have done so before. */
function replaceModule(file: string, exports: unknown): void {
  const path = require.resolve(file);
  require(path);
  const cached = require.cache[path];
  if (cached === undefined) throw new Error(`${file} is not cached`);
  cached.exports = exports;
}

type Batch = Omit<BatchHead, "attributes" | "records" | "producerId"> & {
  readonly compression?: number;
  readonly transactional?: boolean;
  readonly producerId?: string | number | bigint;
  readonly records: readonly BatchRecord[];
};

/**
 * kafkajs takes 512 zeroed bytes for every record, an array for every varint, and copies a record
 * four times: 9 µs a record of 600 bytes, against 3 when a batch is written in one go.
 */
function encodeBatchesAtOnce(): void {
  const v0 = "kafkajs/src/protocol/recordBatch/v0";
  replaceModule("kafkajs/src/protocol/recordBatch/record/v0", (record: BatchRecord) => record);
  const RecordBatch = async (batch: Batch) => {
    const { compression = 0, transactional = false, producerId = -1, records, ...head } = batch;
    const plain = encodeRecords(records);
    const codec = codecOf(compression & codecMask);
    const attributes = (compression & codecMask) | (transactional ? transactionalBit : 0);
    const bytes = encodeBatch(
      { ...head, attributes, producerId: BigInt(producerId), records: records.length },
      codec === null ? plain : await codec.compress({ buffer: plain }),
    );
    return { buf: bytes, buffer: bytes, size: () => bytes.length };
  };
  replaceModule(v0, { ...require(v0), RecordBatch });
}

const codecMask = 7;
const transactionalBit = 16;

type Grouping = {
  readonly topic: string;
  readonly partitionMetadata: readonly unknown[];
  readonly messages: readonly unknown[];
  readonly partitioner: (of: Omit<Grouping, "messages" | "partitioner">) => number;
};

/** kafkajs copies a partition's list for every message it adds: O(n²) for n messages. */
function groupInOnePass(): void {
  replaceModule(
    "kafkajs/src/producer/groupMessagesPerPartition",
    ({ topic, partitionMetadata, messages, partitioner }: Grouping) => {
      const groups: Record<number, unknown[]> = {};
      if (partitionMetadata.length === 0) return groups;
      for (const message of messages) {
        const partition = partitioner({ topic, partitionMetadata, message } as never);
        const group = groups[partition];
        if (group === undefined) groups[partition] = [message];
        else group.push(message);
      }
      return groups;
    },
  );
}

type Encoder = { buffer: Buffer };
type GrowingEncoder = { buf: Buffer; offset: number; ensureAvailable(length: number): void };

/** kafkajs zeroes what it is about to overwrite. */
function growWithoutZeroes(): void {
  const encoder: { prototype: GrowingEncoder } = require("kafkajs/src/protocol/encoder");
  encoder.prototype.ensureAvailable = function grow(this: GrowingEncoder, length: number): void {
    const wanted = this.offset + length;
    if (wanted <= this.buf.length) return;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.buf.length * 2));
    this.buf.copy(larger, 0, 0, this.offset);
    this.buf = larger;
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

// Before the client itself is loaded, which keeps what it finds.
const partitioner = "kafkajs/src/producer/partitioners/default";
replaceModule(partitioner, partitionByKey(require(partitioner)));
groupInOnePass();
growWithoutZeroes();
encodeBatchesAtOnce();
stopIdleTimer();
keepBatchEnds();

/** kafkajs with the patches: whoever needs it takes it from here, so that none comes without. */
export const kafkajs: typeof import("kafkajs") = require("kafkajs");
registerCodecs(kafkajs);
