import { type OpenPrefixes, oneOpenPrefix, severalOpenPrefixes } from "./prefixes.ts";
import type { Turn } from "./turn.ts";

/** A turn that began a row although a row was there to go on with. */
export type Break = {
  readonly turn: number;
  /** The earlier turn whose context comes closest to its prompt. */
  readonly near: number;
};

/** Which turns share a row: indexes, ascending; rows by their first turn. */
export type Merged = {
  readonly segments: readonly (readonly number[])[];
  readonly breaks: readonly Break[];
};

/**
 * Merges turns into trajectories. A turn goes on with the row whose context (all its last turn saw
 * and said) its prompt starts with; what the prompt adds is the observation. `several` keeps every
 * row open, so that interleaved sub-agents merge; without it only the turn before counts, as in
 * agentlightning 0.3 and 1.0. Turns of different policies never share a row. Linear in the tokens.
 */
export function mergeTurns(turns: readonly Turn[], several: boolean): Merged {
  const policies = new Map<string, OpenPrefixes>();
  const segments: number[][] = [];
  const rowOf: number[][] = [];
  const breaks: Break[] = [];
  for (const [i, { prompt_ids, response_ids, policy = "" }] of turns.entries()) {
    const known = policies.get(policy) ?? (several ? severalOpenPrefixes() : oneOpenPrefix());
    policies.set(policy, known);
    const { after, near } = known.place(i, prompt_ids, response_ids);
    const row = after === null ? [] : (rowOf[after] ?? []);
    if (row.length === 0) segments.push(row);
    row.push(i);
    rowOf.push(row);
    if (after === null && near >= 0) breaks.push({ turn: i, near });
  }
  return { segments, breaks };
}

/** Every turn a row of its own. */
export function singleTurns(turns: readonly Turn[]): Merged {
  return { segments: turns.map((_, i) => [i]), breaks: [] };
}
