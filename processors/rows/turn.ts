import { LightningError } from "../../schemas/errors.ts";

/** One LLM call as a trainer sees it: what the model saw and what it generated, in token ids. */
export type Turn = {
  readonly prompt_ids: Int32Array;
  readonly response_ids: Int32Array;
  /** Log-probability of each response token when sampled; null when unknown. */
  readonly logprobs: Float32Array | null;
  /** 1 for each response token that trains; absent: all of them do. */
  readonly loss_mask?: Uint8Array | undefined;
  /** Turns of different policies never share a row; absent: the one policy there is. */
  readonly policy?: string | undefined;
};

/** The turns of one rollout, in order, with what its rows are to carry. */
export type RolloutTurns = {
  readonly rollout_id: string;
  /** The task it is a sample of: rollouts with the same one form a group. */
  readonly data_id?: string | undefined;
  readonly step?: number | undefined;
  readonly sample_idx?: number | undefined;
  /** Final reward; null when none was given. */
  readonly reward: number | null;
  readonly turns: readonly Turn[];
};

/** Where a turn's generated tokens stand in the response of a row: `from` up to, not with, `to`. */
export type Action = { readonly turn: number; readonly from: number; readonly to: number };

/** A prompt and a response with a mask that says which tokens of the response were generated. */
export type TokenRow = {
  /** Indexes of the turns merged into it, ascending. */
  readonly turn_indexes: readonly number[];
  readonly prompt_ids: Int32Array;
  /** Generated tokens and, between turns, what the model was then shown. */
  readonly response_ids: Int32Array;
  /** One per response token: 1 was generated and trains, 0 does not. */
  readonly response_mask: Uint8Array;
  /** One per response token, 0 where it was not generated; null unless every turn has them. */
  readonly logprobs: Float32Array | null;
  readonly actions: readonly Action[];
  /** True when the prompt was longer than allowed: it is cut, and the row is not to be trained. */
  readonly is_drop: boolean;
  /** Response tokens cut off at the limit. */
  readonly truncated_tokens: number;
};

/** A row of a rollout with the rollout's reward. */
export type TrainingRow = TokenRow & {
  readonly rollout_id: string;
  readonly data_id: string;
  readonly reward: number;
};

/** A turn from plain lists; `where` names it in the error. */
export function turnOf(
  where: string,
  prompt: readonly unknown[],
  response: readonly unknown[],
  logprobs: readonly unknown[] | null,
): Turn {
  return {
    prompt_ids: tokens(`${where}.prompt`, prompt),
    response_ids: tokens(`${where}.response`, response),
    logprobs: logprobs === null ? null : logprobsOf(logprobs),
  };
}

/** @throws LightningError `record-invalid` naming the first item that is no 32-bit integer. */
export function tokens(where: string, ids: readonly unknown[]): Int32Array {
  const packed = new Int32Array(ids.length);
  if (packInto(packed, 0, ids)) return packed;
  const i = ids.findIndex((id) => !isToken(id));
  const read = JSON.stringify(ids[i]) ?? "nothing";
  throw new LightningError(
    "record-invalid",
    `${where}[${i}] is ${read}, allowed is a token id: an integer from -2147483648 to 2147483647`,
  );
}

/** Writes the ids from `at` on; false when one of them is no 32-bit integer. */
export function packInto(packed: Int32Array, at: number, ids: readonly unknown[]): boolean {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (!isToken(id)) return false;
    packed[at + i] = id;
  }
  return true;
}

function isToken(id: unknown): id is number {
  return typeof id === "number" && (id | 0) === id;
}

/** Null when one of them is no finite number: a list with holes is not evidence of sampling. */
export function logprobsOf(values: readonly unknown[]): Float32Array | null {
  const packed = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== "number" || !Number.isFinite(value)) return null;
    packed[i] = value;
  }
  return packed;
}
