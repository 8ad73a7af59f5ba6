import { LightningError } from "../../schemas/errors.ts";
import type { TransitionRecorded } from "../../schemas/types.ts";
import { type BatchHeader, headerOf, type IndexedRow, rowsOf } from "./batch.ts";
import { readFrame, writeFrame } from "./framing.ts";
import type { Leased } from "./leases.ts";

/**
 * `application/vnd.lightning.batch`, for reading without copying:
 *
 *     0  "LSB1"
 *     4  uint32 LE    length of the header
 *     8  JSON         the header (BatchHeader), padded with spaces
 *     …  arrays       little endian, each at a multiple of 8
 *
 * `header.arrays[name]` is `{dtype, offset, length}` with numpy's dtype, the offset from the start
 * of the body and the number of items: `numpy.frombuffer(body, dtype, length, offset)`. With n rows
 * and row i's tokens at `offsets[i]` up to `offsets[i + 1]`:
 *
 * | array | dtype | items | meaning |
 * |---|---|---|---|
 * | prompt_ids, prompt_offsets | `<i4` | tokens, n + 1 | what the model saw |
 * | response_ids, response_offsets | `<i4` | tokens, n + 1 | what it generated |
 * | logprobs | `<f4` | response tokens | when sampled; NaN when unknown |
 * | loss_mask | `|u1` | response tokens | 1 trains |
 * | advantages, returns, weights | `<f8` | n | |
 * | rewards, rollout_rewards | `<f8` | n | NaN when there is none |
 * | policy_version | `<i8` | n | -1 when unknown |
 * | group_index | `<i4` | n | index into `header.groups` |
 */
export const packedMediaType = "application/vnd.lightning.batch";

const magic = "LSB1";
const dtypes = {
  prompt_ids: "<i4",
  prompt_offsets: "<i4",
  response_ids: "<i4",
  response_offsets: "<i4",
  logprobs: "<f4",
  loss_mask: "|u1",
  advantages: "<f8",
  returns: "<f8",
  weights: "<f8",
  rewards: "<f8",
  rollout_rewards: "<f8",
  policy_version: "<i8",
  group_index: "<i4",
} as const;

type ArrayName = keyof typeof dtypes;
const arrayNames = Object.keys(dtypes) as ArrayName[];
const itemBytes = { "<i4": 4, "<f4": 4, "|u1": 1, "<f8": 8, "<i8": 8 } as const;

/** Where an array lies in the body. */
export type ArrayPlace = {
  readonly dtype: string;
  readonly offset: number;
  readonly length: number;
};

/** The arrays of a packed batch; see {@link packedMediaType}. */
export type BatchArrays = {
  readonly [Name in ArrayName]: (typeof dtypes)[Name] extends "<i4"
    ? Int32Array
    : (typeof dtypes)[Name] extends "<f4"
      ? Float32Array
      : (typeof dtypes)[Name] extends "|u1"
        ? Uint8Array
        : (typeof dtypes)[Name] extends "<i8"
          ? BigInt64Array
          : Float64Array;
};

/** The packed body of a leased batch; `text` adds messages, completions and tools to the header. */
export function packBatch(leased: Leased, leaseSeconds: number, text: boolean): Buffer {
  const rows = rowsOf(leased);
  const arrays = arraysOf(rows);
  const about = headerOf(leased, rows, leaseSeconds, text);
  // Offsets stand in the header they come after: its size is settled with the longest ones first.
  const longest = JSON.stringify({ ...about, arrays: placesFrom(arrays, 2 ** 32) });
  const start = Math.ceil((8 + Buffer.byteLength(longest)) / 8) * 8;
  const header = Buffer.alloc(start - 8, " ");
  header.write(JSON.stringify({ ...about, arrays: placesFrom(arrays, start) }));
  return writeFrame(
    magic,
    header,
    arrayNames.flatMap((name) => padded(arrays[name])),
  );
}

function placesFrom(arrays: BatchArrays, start: number): Record<string, ArrayPlace> {
  const places: Record<string, ArrayPlace> = {};
  let offset = start;
  for (const name of arrayNames) {
    const { length, byteLength } = arrays[name];
    places[name] = { dtype: dtypes[name], offset, length };
    offset += Math.ceil(byteLength / 8) * 8;
  }
  return places;
}

function padded(array: BatchArrays[ArrayName]): Uint8Array[] {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return [bytes, new Uint8Array(-bytes.length & 7)];
}

function arraysOf(rows: readonly IndexedRow[]): BatchArrays {
  const prompts = tokensOf(rows.map(({ row }) => row.prompt_ids));
  const responses = tokensOf(rows.map(({ row }) => row.response_ids));
  const perRow = (pick: (row: TransitionRecorded) => number | null): Float64Array =>
    Float64Array.from(rows, ({ row }) => pick(row) ?? Number.NaN);
  return {
    prompt_ids: prompts.ids,
    prompt_offsets: prompts.offsets,
    response_ids: responses.ids,
    response_offsets: responses.offsets,
    logprobs: logprobsOf(rows, responses.offsets),
    loss_mask: lossMaskOf(rows, responses.offsets),
    advantages: perRow((row) => row.advantage),
    returns: perRow((row) => row.return_value),
    weights: perRow((row) => row.weight),
    rewards: perRow((row) => row.reward),
    rollout_rewards: perRow((row) => row.rollout_reward),
    policy_version: BigInt64Array.from(rows, ({ row }) => BigInt(row.policy_version ?? -1)),
    group_index: Int32Array.from(rows, ({ group }) => group),
  };
}

function tokensOf(packed: readonly Uint8Array[]): { ids: Int32Array; offsets: Int32Array } {
  const offsets = new Int32Array(packed.length + 1);
  for (const [i, bytes] of packed.entries()) offsets[i + 1] = (offsets[i] ?? 0) + bytes.length / 4;
  const ids = new Int32Array(offsets[packed.length] ?? 0);
  const target = new Uint8Array(ids.buffer);
  for (const [i, bytes] of packed.entries()) target.set(bytes, (offsets[i] ?? 0) * 4);
  return { ids, offsets };
}

function logprobsOf(rows: readonly IndexedRow[], offsets: Int32Array): Float32Array {
  const all = new Float32Array(offsets[rows.length] ?? 0).fill(Number.NaN);
  const target = new Uint8Array(all.buffer);
  for (const [i, { row }] of rows.entries()) target.set(row.logprobs, (offsets[i] ?? 0) * 4);
  return all;
}

function lossMaskOf(rows: readonly IndexedRow[], offsets: Int32Array): Uint8Array {
  const all = new Uint8Array(offsets[rows.length] ?? 0).fill(1);
  for (const [i, { row }] of rows.entries()) all.set(row.loss_mask, offsets[i] ?? 0);
  return all;
}

/**
 * Header and arrays of a packed body; the arrays look into it without a copy when it starts at a
 * multiple of 8 in memory. Throws `request-invalid` for what is no packed batch.
 */
export function unpackBatch(body: Buffer): { header: BatchHeader; arrays: BatchArrays } {
  const bytes = body.byteOffset % 8 === 0 ? body : Buffer.from(new Uint8Array(body).buffer);
  const { header } = readFrame(magic, bytes);
  const { arrays: places, ...rest } = header as BatchHeader & {
    arrays?: Readonly<Record<string, ArrayPlace>>;
  };
  const found = arrayNames.map((name) => [name, view(bytes, name, places?.[name])]);
  return { header: rest, arrays: Object.fromEntries(found) as BatchArrays };
}

function view(bytes: Buffer, name: ArrayName, place: ArrayPlace | undefined) {
  const dtype = dtypes[name];
  const end = (place?.offset ?? 0) + (place?.length ?? 0) * itemBytes[dtype];
  if (
    place === undefined ||
    place.dtype !== dtype ||
    place.offset % 8 !== 0 ||
    end > bytes.length
  ) {
    throw new LightningError(
      "request-invalid",
      `arrays.${name}: read ${JSON.stringify(place)}, allowed is ${dtype} within ${bytes.length} bytes`,
      { field: `arrays.${name}` },
    );
  }
  const { buffer, byteOffset } = bytes;
  const at = byteOffset + place.offset;
  if (dtype === "<i4") return new Int32Array(buffer, at, place.length);
  if (dtype === "<f4") return new Float32Array(buffer, at, place.length);
  if (dtype === "|u1") return new Uint8Array(buffer, at, place.length);
  if (dtype === "<i8") return new BigInt64Array(buffer, at, place.length);
  return new Float64Array(buffer, at, place.length);
}
