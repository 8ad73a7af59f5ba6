import type { Padded } from "./pad.ts";
import type { RowLimits } from "./token-row.ts";
import type { RolloutTurns, TokenRow, Turn } from "./turn.ts";

/** Why our rows are not the reference's, on purpose. The names are those of its list of hazards. */
export const rowRules = {
  H12: "the reference trains the excess of a long prompt that it moves to the response, and its mask is longer than the response; ours is 0 there and ends where the response does",
  H13: "the reference appends the whole prompt again when a turn observes nothing new; ours appends nothing",
  H14: "the reference merges a turn whose prompt is shorter than the context when prompt and response together begin with it, and appends tokens nobody saw; ours gives such a turn a row of its own",
  "lone-token":
    "the reference looks for the last token by the largest position, so that a row of one token loses its reward; ours has it on that token",
  "cut-logprobs":
    "the reference takes log-probs of another number than their response has tokens where the cut at the limit hides it; ours takes none",
  "no-rows":
    "the reference stops training when a batch has no rows; ours is an empty batch with its counts",
} as const;

export type RowRule = keyof typeof rowRules;

/** A row as 0.3 makes it at trajectory level, and the hazards it met. */
export type DefectiveRow = { readonly row: TokenRow; readonly hazards: ReadonlySet<RowRule> };

/**
 * The rows of 0.3 at trajectory level, defects included: what a recorded answer must be when it is
 * not ours, or the difference is none that a rule explains.
 */
export function defectiveRows(
  turns: readonly Turn[],
  { prompt: most, response }: RowLimits,
): DefectiveRow[] {
  return defectiveSegments(turns).map((segment) => {
    const hazards = new Set<RowRule>();
    const [first = 0, ...others] = segment;
    const own = idsOf(turns[first], "prompt_ids");
    const excess = first > 0 ? own.slice(most) : [];
    const ids = [...excess, ...idsOf(turns[first], "response_ids")];
    const mask = [...ones(excess), ...ones(ids)];
    if (excess.length > 0) hazards.add("H12");
    for (const i of others) {
      const prompt = idsOf(turns[i], "prompt_ids");
      const said = idsOf(turns[i], "response_ids");
      const fresh = prompt.length - ids.length - (own.length - excess.length);
      if (fresh === 0) hazards.add("H13");
      if (fresh < 0) hazards.add("H14");
      // As Python slices: the last 0 items are all of them, the last -2 all but the first two.
      ids.push(...prompt.slice(-fresh), ...said);
      mask.push(...new Array<number>(Math.max(0, fresh)).fill(0), ...ones(said));
    }
    const row: TokenRow = {
      turn_indexes: segment,
      prompt_ids: Int32Array.from(own.slice(0, most)),
      response_ids: Int32Array.from(ids.slice(0, response)),
      response_mask: Uint8Array.from(mask.slice(0, response)),
      logprobs: null,
      actions: [],
      is_drop: own.length - excess.length > most,
      truncated_tokens: Math.max(0, ids.length - response),
    };
    return { row, hazards };
  });
}

/** Turns share a row when prompt and response together begin with the context. */
function defectiveSegments(turns: readonly Turn[]): number[][] {
  const segments: number[][] = [];
  let context: readonly number[] = [];
  for (const [i, turn] of turns.entries()) {
    const full = [...idsOf(turn, "prompt_ids"), ...idsOf(turn, "response_ids")];
    const last = segments.at(-1);
    if (last !== undefined && context.every((id, k) => full[k] === id)) last.push(i);
    else segments.push([i]);
    context = full;
  }
  return segments;
}

function idsOf(turn: Turn | undefined, name: "prompt_ids" | "response_ids"): number[] {
  return turn === undefined ? [] : Array.from(turn[name]);
}

const ones = (items: readonly unknown[]): number[] => items.map(() => 1);

/** Whether some turn has log-probs, but not one for each token of its response. */
export function hasOddLogprobs({ turns }: RolloutTurns): boolean {
  return turns.some(
    ({ logprobs, response_ids }) => logprobs !== null && logprobs.length !== response_ids.length,
  );
}

/** The batch with the reward of rows of one token lost; null when there is no such row. */
export function withoutLoneRewards(batch: Padded): Padded | null {
  const { width, data } = batch.attention_mask;
  const scores = batch.token_level_scores;
  const kept = scores.data.slice();
  let lost = false;
  for (let i = 0; i < batch.rows; i++) {
    const attended = data.subarray(i * width, (i + 1) * width).reduce((sum, one) => sum + one, 0);
    if (attended !== 1) continue;
    lost ||= kept.subarray(i * scores.width, (i + 1) * scores.width).some((score) => score !== 0);
    kept.fill(0, i * scores.width, (i + 1) * scores.width);
  }
  return lost ? { ...batch, token_level_scores: { ...scores, data: kept } } : null;
}
