import { ownBytes } from "../../schemas/bytes.ts";
import { LightningError } from "../../schemas/errors.ts";
import { packRows } from "../../schemas/packed-rows.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { GroupClosed, TransitionRecorded } from "../../schemas/types.ts";
import type { Delivered } from "../sink.ts";
import { type Group, hold, type Ledger, type OpenGroup, release, setMark } from "./ledger.ts";
import { flawOf, isHeld, offer, setAside } from "./offer.ts";
import { type Share, sharesOf } from "./shares.ts";

/**
 * Folds the next record of the partition in. Throws `record-invalid` naming the field for a row no
 * trainer could read (its group then closes as `incomplete`), and `offset-unexpected` when offsets
 * go back.
 */
export function record(ledger: Ledger, delivered: Delivered): void {
  const { offset } = delivered;
  if (offset < ledger.position) {
    throw new LightningError(
      "offset-unexpected",
      `transitions ${ledger.partition}: read offset ${offset}, allowed is ${ledger.position} or more`,
      { partition: ledger.partition, offset, expected: ledger.position },
    );
  }
  ledger.position = offset + 1;
  if (delivered.record?.type === "TransitionRecorded") {
    addRow(ledger, delivered.record.value, offset);
  } else if (delivered.record?.type === "GroupClosed") {
    close(ledger, delivered.record.value, offset, delivered.timestamp);
  }
}

function openKey(row: { project: string; group_id: string; revision: number }): string {
  return `${row.revision}/${keyOf(row.project, row.group_id)}`;
}

function addRow(ledger: Ledger, row: TransitionRecorded, offset: number): void {
  checkRow(row);
  const key = openKey(row);
  const group = ledger.open.get(key) ?? openGroup(ledger, offset);
  const id = `${row.rollout_id}/${row.attempt_id}/${row.step_index}/${row.span_id}`;
  const before = group.rows.get(id);
  const grown = bytesOf(row) - (before === undefined ? 0 : bytesOf(before));
  group.rows.set(id, row);
  group.bytes += grown;
  ledger.bytes += grown;
  ledger.open.set(key, group);
}

function openGroup(ledger: Ledger, firstOffset: number): OpenGroup {
  hold(ledger, firstOffset);
  return { rows: new Map(), firstOffset, bytes: 0 };
}

function close(ledger: Ledger, closed: GroupClosed, offset: number, now: number): void {
  const key = openKey(closed);
  const open = ledger.open.get(key) ?? openGroup(ledger, offset);
  ledger.open.delete(key);
  ledger.bytes -= open.bytes;
  const groups = sharesOf(closed, [...open.rows.values()], offset).map((share) =>
    toGroup(share, closed, open.firstOffset, offset),
  );
  for (const group of groups) admit(ledger, group, now);
  // After its shares took hold of the same offset.
  release(ledger, open.firstOffset);
  if (closed.revision > 0) supersedeOthers(ledger, closed, groups, now);
}

function admit(ledger: Ledger, group: Group, now: number): void {
  const { id, closed } = group;
  if (ledger.marks.get(id)?.done) return;
  ledger.groups.set(id, group);
  ledger.bytes += group.bytes;
  hold(ledger, group.firstOffset);
  if (isHeld(ledger, id)) return;
  const isNewRevision = closed.revision > 0 && !ledger.marks.has(id);
  if (isNewRevision && flawOf(ledger, group) === null) revise(ledger, group, now);
  else offer(ledger, group, now);
}

/** What a group costs besides its rows, bytes: its closing record and the buffer of the rows. */
const groupBytes = 2048;

function toGroup(
  { rows, ...share }: Share,
  closed: GroupClosed,
  firstOffset: number,
  offset: number,
): Group {
  const packed = ownBytes(
    packRows(rows.map((value) => ["", { type: "TransitionRecorded", value }])),
  );
  return {
    ...share,
    id: `${keyOf(closed.project, closed.group_id)}@${share.place}`,
    closed,
    firstOffset,
    closeOffset: offset,
    tokens: rows.reduce((sum, row) => sum + tokensOf(row), 0),
    size: rows.length,
    packed,
    bytes: groupBytes + packed.length,
  };
}

/**
 * A revision takes the place of its group while nobody has that, or when there were no rows to be
 * had; otherwise it comes too late: its group is being trained or done, and training it again would
 * count the same rollouts twice.
 */
function revise(ledger: Ledger, group: Group, now: number): void {
  const { revision } = group.closed;
  const prior = earlierReady(ledger, group.closed).find(({ policy }) => policy === group.policy);
  if (prior === undefined && group.closed.replaces === 0) {
    offer(ledger, group, now);
    return;
  }
  if (prior === undefined) {
    const detail = `revision ${revision} came after the group was given out`;
    setAside(ledger, group, now, "superseded", detail);
    return;
  }
  const deliveries = ledger.marks.get(prior.id)?.deliveries ?? 0;
  setAside(ledger, prior, now, "superseded", `revision ${revision} takes its place`);
  setMark(ledger, group.id, {
    done: false,
    deliveries,
    batch_id: null,
    offset: group.closeOffset,
  });
  offer(ledger, group, now);
}

/** What nobody was given yet of the earlier revisions of a group. */
function earlierReady(ledger: Ledger, { project, group_id, revision }: GroupClosed): Group[] {
  return ledger.ready.filter(
    ({ closed }) =>
      closed.project === project && closed.group_id === group_id && closed.revision < revision,
  );
}

/** A whole revision may have nothing for a policy any more: its earlier rows are then no more true. */
function supersedeOthers(
  ledger: Ledger,
  closed: GroupClosed,
  groups: readonly Group[],
  now: number,
): void {
  const found = groups.reduce((sum, { size }) => sum + size, 0);
  if (found !== closed.transitions) return;
  const still = new Set(groups.flatMap(({ policy, size }) => (size > 0 ? [policy] : [])));
  for (const prior of earlierReady(ledger, closed)) {
    if (still.has(prior.policy)) continue;
    const detail = `revision ${closed.revision} has no such rows`;
    setAside(ledger, prior, now, "superseded", detail);
  }
}

/** State and action tokens of a row; what the engine counted when it gave no ids. */
export function tokensOf(row: TransitionRecorded): number {
  const ids = (row.prompt_ids.length + row.response_ids.length) / 4;
  return ids > 0 ? ids : row.prompt_tokens + row.completion_tokens;
}

/**
 * Memory of a row of an open group, an estimate: objects and numbers of a row 1.5 KiB, strings two
 * bytes a character.
 */
function bytesOf(row: TransitionRecorded): number {
  const texts = row.messages.length + row.completion.length + row.metadata.length;
  const packed =
    row.prompt_ids.length + row.response_ids.length + row.logprobs.length + row.loss_mask.length;
  return 1536 + packed + 2 * (texts + (row.tools?.length ?? 0));
}

function checkRow(row: TransitionRecorded): void {
  for (const name of ["prompt_ids", "response_ids"] as const) {
    if (row[name].length % 4 !== 0) {
      refuse(name, `${row[name].length} bytes`, "a multiple of 4 (int32 token ids)");
    }
  }
  const tokens = row.response_ids.length / 4;
  if (row.logprobs.length !== 0 && row.logprobs.length !== tokens * 4) {
    refuse("logprobs", `${row.logprobs.length} bytes`, `0 or ${tokens * 4} (float32 per token)`);
  }
  if (row.loss_mask.length !== 0 && row.loss_mask.length !== tokens) {
    refuse("loss_mask", `${row.loss_mask.length} bytes`, `0 or ${tokens} (uint8 per token)`);
  }
  for (const name of ["advantage", "return_value", "weight"] as const) {
    if (!Number.isFinite(row[name])) refuse(name, String(row[name]), "a finite number");
  }
}

function refuse(field: string, read: string, allowed: string): never {
  throw new LightningError(
    "record-invalid",
    `TransitionRecorded.${field}: read ${read}, allowed is ${allowed}`,
    { field },
  );
}
