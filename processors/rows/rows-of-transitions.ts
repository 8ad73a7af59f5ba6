import { unpackFloat32, unpackInt32 } from "../../schemas/bytes.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { TransitionRecorded } from "../../schemas/types.ts";
import { type CreditedRow, creditedRow } from "./credited-row.ts";
import { mergeTurns, singleTurns } from "./merge.ts";
import type { Mismatches } from "./mismatches.ts";
import { mismatchTally } from "./mismatches.ts";
import { defaultRowOptions, type RowOptions } from "./rows-of-turns.ts";
import { tokenRow, trains } from "./token-row.ts";
import type { Turn } from "./turn.ts";

export type CreditedRows = {
  readonly rows: readonly CreditedRow[];
  /** Rows left out because no token of them trains. */
  readonly empty: number;
  readonly mismatches: Mismatches;
};

/**
 * Training rows of transitions as they stand in the log, in any order: the same merging as
 * {@link rowsOfTurns}, and every row carries where it comes from, which policy made each token and
 * what credit it got. Of a rollout written more than once the newest revision counts. Turns of
 * different policies never share a row.
 */
export function rowsOfTransitions(
  transitions: readonly TransitionRecorded[],
  options: Partial<Omit<RowOptions, "fill">> = {},
): CreditedRows {
  const { level, several, limits, keepEmpty, vocabulary } = { ...defaultRowOptions, ...options };
  const tally = mismatchTally(vocabulary);
  const rows: CreditedRow[] = [];
  let empty = 0;
  for (const members of newestByRollout(transitions)) {
    const turns = members.map(turnOfTransition);
    const merged = level === "trajectory" ? mergeTurns(turns, several) : singleTurns(turns);
    tally.add(members[0]?.rollout_id ?? "", turns, merged);
    for (const segment of merged.segments) {
      const row = tokenRow(turns, segment, limits);
      if (keepEmpty || trains(row)) rows.push(creditedRow(members, row));
      else empty += 1;
    }
  }
  return { rows, empty, mismatches: tally.result() };
}

/** Rollouts as they first appear; their transitions by position, then choice. */
function newestByRollout(transitions: readonly TransitionRecorded[]): TransitionRecorded[][] {
  const rollouts = new Map<string, TransitionRecorded[]>();
  for (const transition of transitions) {
    const key = keyOf(transition.project, transition.rollout_id);
    const known = rollouts.get(key);
    const newest = known?.[0]?.revision ?? -1;
    if (known === undefined || transition.revision > newest) rollouts.set(key, [transition]);
    else if (transition.revision === newest) known.push(transition);
  }
  return [...rollouts.values()].map((members) => members.sort(byPosition));
}

function byPosition(a: TransitionRecorded, b: TransitionRecorded): number {
  return a.step_index - b.step_index || a.choice - b.choice;
}

function turnOfTransition(transition: TransitionRecorded): Turn {
  const { logprobs, loss_mask, policy } = transition;
  return {
    prompt_ids: unpackInt32(transition.prompt_ids),
    response_ids: unpackInt32(transition.response_ids),
    logprobs: logprobs.length === 0 ? null : unpackFloat32(logprobs),
    loss_mask: loss_mask.length === 0 ? undefined : loss_mask,
    policy,
  };
}
