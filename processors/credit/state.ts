import type { Tagged } from "../../schemas/records.ts";
import type { GroupNoted, RolloutAssembled, StepRecorded } from "../../schemas/types.ts";
import type { WholeMember } from "./sampling.ts";

export type Row = "StepRecorded" | "RolloutAssembled" | "GroupNoted";

/** Read access to the rows of a group. */
export type Rows = Pick<ReadonlyMap<string, Tagged<Row>>, "get" | "has">;

/** A row to write. */
export type Put = readonly [string, Tagged<Row>];

const noteRow = "group";

/** Row id of a step; of revision 0 as it was before there were revisions. */
export function stepRow(
  {
    rollout_id,
    attempt_id,
    revision,
  }: Pick<RolloutAssembled, "rollout_id" | "attempt_id" | "revision">,
  index: number,
): string {
  const id = `step\u0000${rollout_id}\u0000${attempt_id ?? ""}\u0000${index}`;
  return revision === 0 ? id : `${id}\u0000${revision}`;
}

/** Row id of the closing record in force: the newest revision that came with all its steps. */
export function memberRow(rolloutId: string): string {
  return `member\u0000${rolloutId}`;
}

/** Row id of a closing record whose steps are not all there yet. */
export function pendingRow({
  rollout_id,
  revision,
}: Pick<RolloutAssembled, "rollout_id" | "revision">): string {
  return `pending\u0000${rollout_id}\u0000${revision}`;
}

/** The closing record in one of its two rows. */
export function rolloutIn(rows: Rows, id: string): RolloutAssembled | undefined {
  const row = rows.get(id);
  return row?.type === "RolloutAssembled" ? row.value : undefined;
}

export function noteIn(rows: Rows): GroupNoted | undefined {
  const row = rows.get(noteRow);
  return row?.type === "GroupNoted" ? row.value : undefined;
}

export function putNote(value: GroupNoted): Put {
  return [noteRow, { type: "GroupNoted", value }];
}

/** The rows as they will be once `put` is written; costs nothing per row. */
export function withPut(rows: Rows, put: readonly Put[]): Rows {
  const added = new Map(put);
  return {
    get: (id) => added.get(id) ?? rows.get(id),
    has: (id) => added.has(id) || rows.has(id),
  };
}

/**
 * Whether all steps of a closing record are there. From the last one on, so that steps that come
 * behind their closing record, in order, cost one look each and not one for each before them.
 */
export function isWhole(rows: Rows, rollout: RolloutAssembled): boolean {
  for (let index = rollout.steps - 1; index >= 0; index--) {
    if (!rows.has(stepRow(rollout, index))) return false;
  }
  return true;
}

/** Rows of the steps of a closing record. */
export function stepRowsOf(rollout: RolloutAssembled): string[] {
  return Array.from({ length: rollout.steps }, (_, index) => stepRow(rollout, index));
}

/** The members a note lists, with their steps. */
export function wholeMembers(rows: Rows, note: GroupNoted): WholeMember[] {
  return note.members.flatMap((id) => {
    const rollout = rolloutIn(rows, memberRow(id));
    if (rollout === undefined) return [];
    return [{ rollout, steps: stepRowsOf(rollout).flatMap((row) => stepIn(rows, row)) }];
  });
}

function stepIn(rows: Rows, id: string): StepRecorded[] {
  const row = rows.get(id);
  return row?.type === "StepRecorded" ? [row.value] : [];
}
