import type { Action, TokenRow, Turn } from "./turn.ts";

/** How long the prompt and the response of a row may be, in tokens. */
export type RowLimits = {
  readonly prompt: number;
  readonly response: number;
  /**
   * What to do with a prompt that is too long when the row does not begin with the rollout's first
   * turn: `drop` cuts and marks it as any other; `response` moves the excess to the front of the
   * response, untrained (agentlightning 0.3 at trajectory level).
   */
  readonly overflow: "drop" | "response";
};

/**
 * The row of a segment of turns, each of whose prompts starts with the context before it. Mask and
 * log-probs are written token by token beside the ids; nothing of the input is changed.
 */
export function tokenRow(
  turns: readonly Turn[],
  segment: readonly number[],
  limits: RowLimits | null,
): TokenRow {
  const [first = 0] = segment;
  const prompt = turns[first]?.prompt_ids ?? noTokens;
  const over = limits === null ? 0 : Math.max(0, prompt.length - limits.prompt);
  const moved = limits?.overflow === "response" && first > 0 ? over : 0;
  const start = prompt.length - moved;
  const response_ids = responseOf(turns, segment, start);
  const { length } = response_ids;
  const row = {
    turn_indexes: segment,
    prompt_ids: over === 0 ? prompt : prompt.subarray(0, prompt.length - over),
    response_ids,
    response_mask: new Uint8Array(length),
    logprobs: haveLogprobs(turns, segment) ? new Float32Array(length) : null,
    actions: new Array<Action>(segment.length),
    is_drop: over > moved,
    truncated_tokens: 0,
  };
  for (let k = 0; k < segment.length; k++) {
    const turn = turns[segment[k] ?? 0];
    if (turn !== undefined) row.actions[k] = writeAction(row, turn, segment[k] ?? 0, start);
  }
  return limits === null || length <= limits.response ? row : cut(row, limits.response);
}

const noTokens = new Int32Array(0);

/** The last turn saw everything before it: the row is what it saw and said, from `start` on. */
function responseOf(turns: readonly Turn[], segment: readonly number[], start: number): Int32Array {
  const last = turns[segment[segment.length - 1] ?? 0];
  if (last === undefined) return noTokens;
  const { prompt_ids, response_ids } = last;
  if (start === prompt_ids.length) return response_ids;
  const whole = new Int32Array(prompt_ids.length - start + response_ids.length);
  whole.set(prompt_ids.subarray(start));
  whole.set(response_ids, prompt_ids.length - start);
  return whole;
}

function haveLogprobs(turns: readonly Turn[], segment: readonly number[]): boolean {
  for (const i of segment) {
    const turn = turns[i];
    if (turn?.logprobs?.length !== turn?.response_ids.length) return false;
  }
  return true;
}

type Written = Pick<TokenRow, "response_mask" | "logprobs">;

function writeAction(row: Written, turn: Turn, index: number, start: number): Action {
  const { prompt_ids, response_ids, loss_mask, logprobs } = turn;
  const from = prompt_ids.length - start;
  const to = from + response_ids.length;
  if (loss_mask?.length === response_ids.length) row.response_mask.set(loss_mask, from);
  else row.response_mask.fill(1, from, to);
  if (logprobs !== null) row.logprobs?.set(logprobs, from);
  return { turn: index, from, to };
}

function cut(row: TokenRow, most: number): TokenRow {
  return {
    ...row,
    response_ids: row.response_ids.subarray(0, most),
    response_mask: row.response_mask.subarray(0, most),
    logprobs: row.logprobs?.subarray(0, most) ?? null,
    actions: row.actions.map(({ turn, from, to }) => ({
      turn,
      from: Math.min(from, most),
      to: Math.min(to, most),
    })),
    truncated_tokens: row.response_ids.length - most,
  };
}

/** Whether any token of the row trains. */
export function trains({ response_mask }: Pick<TokenRow, "response_mask">): boolean {
  return response_mask.includes(1);
}
