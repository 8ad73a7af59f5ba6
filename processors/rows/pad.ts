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
  const { prompt: p, response: r, pad_id } = options;
  const n = rows.length;
  const known = n > 0 && rows.every(({ logprobs }) => logprobs !== null);
  const input_ids = whole(p + r, filledWith(pad_id, n * (p + r)));
  const padded = {
    rows: n,
    prompts: { ...input_ids, width: p },
    responses: { ...input_ids, width: r, offset: p },
    input_ids,
    attention_mask: whole(p + r, new Uint8Array(n * (p + r))),
    position_ids: whole(p + r, new Int32Array(n * (p + r))),
    is_drop_mask: rows.map(({ is_drop }) => is_drop),
    token_level_scores: whole(r, new Float64Array(n * r)),
    response_mask: whole(r, new Uint8Array(n * r)),
    rollout_log_probs: known ? whole(r, new Float32Array(n * r)) : null,
  };
  for (const [i, row] of rows.entries()) writeRow(padded, i, row, options);
  return padded;
}

function whole<Data>(width: number, data: Data): Matrix<Data> {
  return { width, stride: width, offset: 0, data };
}

/** Memory that is zero already is not touched: most of a batch may be padding. */
function filledWith(id: number, length: number): Int32Array {
  const data = new Int32Array(length);
  return id === 0 ? data : data.fill(id);
}

function writeRow(padded: Padded, i: number, row: PadRow, options: PadOptions): void {
  const { prompt: p, response: r, bfloat16 } = options;
  const prompt = row.prompt_ids.subarray(0, p);
  const response = row.response_ids.subarray(0, r);
  const [start, end] = [p - prompt.length, p + response.length];
  const at = i * (p + r);
  padded.input_ids.data.set(prompt, at + start);
  padded.input_ids.data.set(response, at + p);
  padded.attention_mask.data.fill(1, at + start, at + end);
  const positions = padded.position_ids.data;
  for (let k = start; k < end; k++) positions[at + k] = k - start;
  positions.fill(Math.max(0, end - start - 1), at + end, at + p + r);
  padded.response_mask.data.set(row.response_mask.subarray(0, r), i * r);
  const logprobs = padded.rollout_log_probs;
  if (row.logprobs !== null) logprobs?.data.set(row.logprobs.subarray(0, r), i * r);
  if (response.length > 0) {
    const score = bfloat16 ? toBfloat16(row.reward ?? 0) : (row.reward ?? 0);
    padded.token_level_scores.data[i * r + response.length - 1] = score;
  }
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
