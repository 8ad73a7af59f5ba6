import { toBfloat16 } from "./bfloat16.ts";
import type { TokenRow } from "./turn.ts";

/**
 * A matrix by rows: cell k of row i is `data[i * stride + offset + k]`. Prompts and responses are the
 * two halves of one array, because memory never touched before is most of what a batch costs.
 */
export type Matrix<Data> = {
  readonly width: number;
  readonly stride: number;
  readonly offset: number;
  readonly data: Data;
};

/** What a batch is made of: rows of any origin; a reward of null scores 0. */
export type PadRow = Omit<TokenRow, "actions"> & { readonly reward: number | null };

export type PadOptions = {
  /** Widths of the two halves, tokens; longer rows are cut as rows of these limits would be. */
  readonly prompt: number;
  readonly response: number;
  readonly pad_id: number;
  /** Round scores to bfloat16, as the reference does. */
  readonly bfloat16: boolean;
};

/** One row per training row; P and R are the widths asked for. */
export type Padded = {
  readonly rows: number;
  /** P: padded on the left. R: padded on the right. P + R: one behind the other. */
  readonly prompts: Matrix<Int32Array>;
  readonly responses: Matrix<Int32Array>;
  readonly input_ids: Matrix<Int32Array>;
  /** P + R: 1 on tokens, 0 on padding. */
  readonly attention_mask: Matrix<Uint8Array>;
  /** P + R: tokens before it, 0 on the left padding, the last position on the right one. */
  readonly position_ids: Matrix<Int32Array>;
  readonly is_drop_mask: readonly boolean[];
  /** R: the reward on the last token of the row, if that is in the response. */
  readonly token_level_scores: Matrix<Float64Array>;
  /** R: 1 on tokens that train. */
  readonly response_mask: Matrix<Uint8Array>;
  /** R; null unless every row has them. */
  readonly rollout_log_probs: Matrix<Float32Array> | null;
};

/** Tensors of a batch (reference/v0.3-behaviour.md 4.3, reference/v1.0.md 3.3). */
export function padRows(rows: readonly PadRow[], options: PadOptions): Padded {
  return padder(options)(rows);
}

/**
 * Pads batch after batch into the same memory: what it returned holds until it is called again. New
 * memory is most of what a batch costs, and most of a batch is padding that stays as it was.
 */
export function padder(options: PadOptions): (rows: readonly PadRow[]) => Padded {
  const { prompt: p, response: r } = options;
  let memory = memoryFor(0, options);
  return (rows) => {
    const n = rows.length;
    if (n > memory.rows) memory = memoryFor(n, options);
    const known = n > 0 && rows.every(({ logprobs }) => logprobs !== null);
    if (known) memory.logprobs ??= new Float32Array(memory.rows * r);
    for (const [i, row] of rows.entries()) writeRow(memory, i, row, options, known);
    const input_ids = whole(p + r, memory.input_ids.subarray(0, n * (p + r)));
    return {
      rows: n,
      prompts: { ...input_ids, width: p },
      responses: { ...input_ids, width: r, offset: p },
      input_ids,
      attention_mask: whole(p + r, memory.attention_mask.subarray(0, n * (p + r))),
      position_ids: whole(p + r, memory.position_ids.subarray(0, n * (p + r))),
      is_drop_mask: rows.map(({ is_drop }) => is_drop),
      token_level_scores: whole(r, memory.scores.subarray(0, n * r)),
      response_mask: whole(r, memory.response_mask.subarray(0, n * r)),
      rollout_log_probs:
        known && memory.logprobs !== null ? whole(r, memory.logprobs.subarray(0, n * r)) : null,
    };
  };
}

/** Matrices for so many rows, and where in each row something else than padding stands. */
type Memory = {
  readonly rows: number;
  readonly input_ids: Int32Array;
  readonly attention_mask: Uint8Array;
  readonly position_ids: Int32Array;
  readonly scores: Float64Array;
  readonly response_mask: Uint8Array;
  /** Made when first needed. */
  logprobs: Float32Array | null;
  /** From the first token of the prompt to behind the last one of the response. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Log-probs written. */
  readonly sampled: Int32Array;
};

function memoryFor(n: number, { prompt: p, response: r, pad_id }: PadOptions): Memory {
  const input_ids = new Int32Array(n * (p + r));
  return {
    rows: n,
    // Memory that is zero already is not touched.
    input_ids: pad_id === 0 ? input_ids : input_ids.fill(pad_id),
    attention_mask: new Uint8Array(n * (p + r)),
    position_ids: new Int32Array(n * (p + r)),
    scores: new Float64Array(n * r),
    response_mask: new Uint8Array(n * r),
    logprobs: null,
    starts: new Int32Array(n).fill(p),
    ends: new Int32Array(n).fill(p),
    sampled: new Int32Array(n),
  };
}

function whole<Data>(width: number, data: Data): Matrix<Data> {
  return { width, stride: width, offset: 0, data };
}

function writeRow(
  memory: Memory,
  i: number,
  row: PadRow,
  { prompt: p, response: r, pad_id, bfloat16 }: PadOptions,
  known: boolean,
): void {
  clearRow(memory, i, p, r, pad_id);
  const prompt = row.prompt_ids.subarray(0, p);
  const response = row.response_ids.subarray(0, r);
  const [start, end] = [p - prompt.length, p + response.length];
  const at = i * (p + r);
  memory.input_ids.set(prompt, at + start);
  memory.input_ids.set(response, at + p);
  memory.attention_mask.fill(1, at + start, at + end);
  const positions = memory.position_ids;
  for (let k = start; k < end; k++) positions[at + k] = k - start;
  positions.fill(Math.max(0, end - start - 1), at + end, at + p + r);
  memory.response_mask.set(row.response_mask.subarray(0, r), i * r);
  if (response.length > 0) {
    const score = bfloat16 ? toBfloat16(row.reward ?? 0) : (row.reward ?? 0);
    memory.scores[i * r + response.length - 1] = score;
  }
  memory.starts[i] = start;
  memory.ends[i] = end;
  if (!known || row.logprobs === null) return;
  const logprobs = row.logprobs.subarray(0, r);
  memory.logprobs?.fill(0, i * r, i * r + (memory.sampled[i] ?? 0));
  memory.logprobs?.set(logprobs, i * r);
  memory.sampled[i] = logprobs.length;
}

/** Makes padding of what the row before left, except for positions on the right, which all are written. */
function clearRow(memory: Memory, i: number, p: number, r: number, pad_id: number): void {
  const [start, end] = [memory.starts[i] ?? p, memory.ends[i] ?? p];
  const at = i * (p + r);
  memory.input_ids.fill(pad_id, at + start, at + end);
  memory.attention_mask.fill(0, at + start, at + end);
  memory.position_ids.fill(0, at + start, at + p);
  memory.response_mask.fill(0, i * r, i * r + end - p);
  if (end > p) memory.scores[i * r + end - p - 1] = 0;
}

/** R: each row's advantages, per token or under its mask, as {@link padRows} lays out responses. */
export function padAdvantages(
  rows: readonly (Omit<PadRow, "reward"> & {
    readonly advantage: number;
    readonly advantages: Float64Array | null;
  })[],
  width: number,
): Matrix<Float64Array> {
  const data = new Float64Array(rows.length * width);
  for (const [i, { advantage, advantages, response_mask }] of rows.entries()) {
    for (let k = 0; k < Math.min(width, response_mask.length); k++) {
      if (response_mask[k] === 1) data[i * width + k] = advantages?.[k] ?? advantage;
    }
  }
  return whole(width, data);
}

/** A matrix as lists of lists, for JSON. */
export function nested(matrix: Matrix<ArrayLike<number>>, rows: number): number[][] {
  const { width, stride, offset, data } = matrix;
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: width }, (_, k) => data[i * stride + offset + k] ?? 0),
  );
}
