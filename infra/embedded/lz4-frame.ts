/**
 * Decompresses LZ4 frames, which Python's clickhouse-connect sends and Node does not know. Chunk by
 * chunk, so that a limit on what comes out can stop it; checksums are not verified.
 * Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export async function* decodeLz4(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = new Input(source);
  while (await input.has(4)) {
    const magic = (await input.take(4)).readUInt32LE(0);
    if (magic !== frameMagic) throw corrupt();
    yield* decodeFrame(input);
  }
}

const frameMagic = 0x184d2204;
const windowBytes = 64 * 1024;
const blockBytes = [0, 0, 0, 0, 64, 256, 1024, 4096].map((kib) => kib * 1024);

async function* decodeFrame(input: Input): AsyncGenerator<Buffer> {
  const [flags = 0, descriptor = 0] = await input.take(2);
  const most = blockBytes[(descriptor >> 4) & 7] ?? 0;
  if (flags >> 6 !== 1 || most === 0) throw corrupt();
  // Content size, dictionary id, header checksum.
  await input.take((flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0) + 1);
  let window: Buffer = Buffer.alloc(0);
  for (;;) {
    const size = (await input.take(4)).readUInt32LE(0);
    if (size === 0) break;
    const length = size & 0x7fffffff;
    if (length > most) throw corrupt();
    const data = await input.take(length);
    if (flags & 16) await input.take(4);
    const block = size >>> 31 ? data : decodeBlock(data, window, most);
    window = Buffer.concat([window, block]).subarray(-windowBytes);
    yield block;
  }
  if (flags & 4) await input.take(4);
}

/** One block: literals, then a copy from what came before it, again and again. */
function decodeBlock(data: Buffer, window: Buffer, most: number): Buffer {
  const out = Buffer.allocUnsafe(window.length + most);
  window.copy(out);
  let to = window.length;
  let at = 0;
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    for (let byte = 255; nibble === 15 && byte === 255; length += byte) byte = data[at++] ?? 0;
    return length;
  };
  while (at < data.length) {
    const token = data[at++] ?? 0;
    const literals = lengthFrom(token >> 4);
    if (literals > data.length - at || literals > out.length - to) throw corrupt();
    data.copy(out, to, at, at + literals);
    at += literals;
    to += literals;
    // The last sequence is literals only.
    if (at >= data.length) break;
    const offset = (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8);
    at += 2;
    const length = lengthFrom(token & 15) + 4;
    if (offset === 0 || offset > to || length > out.length - to) throw corrupt();
    copyWithin(out, to, offset, length);
    to += length;
  }
  return out.subarray(window.length, to);
}

/** Copies from `offset` bytes back; the source may run into what is being written. */
function copyWithin(out: Buffer, to: number, offset: number, length: number): void {
  for (let done = 0; done < length; ) {
    // What has been written is a repetition of the source: it can be copied from, too.
    const step = Math.min(length - done, offset + done);
    out.copyWithin(to + done, to - offset, to - offset + step);
    done += step;
  }
}

class Input {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Whether there are so many bytes; false at the end of the input, an error inside it. */
  async has(count: number): Promise<boolean> {
    const parts = [this.#held];
    let length = this.#held.length;
    while (length < count) {
      const next = await this.#source.next();
      if (next.done === true) break;
      parts.push(next.value);
      length += next.value.length;
    }
    this.#held = parts.length === 1 ? this.#held : Buffer.concat(parts);
    if (length < count && length > 0) throw corrupt();
    return length >= count;
  }

  async take(count: number): Promise<Buffer> {
    if (count > 0 && !(await this.has(count))) throw corrupt();
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }
}

function corrupt(): Error {
  return Object.assign(new Error("not an LZ4 frame, or a damaged one"), { code: "Z_LZ4" });
}
