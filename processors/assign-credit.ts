import { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import { keyOf } from "../schemas/topics.ts";
import type { GroupNoted, RolloutAssembled, StepRecorded } from "../schemas/types.ts";
import { creditGroup, type WholeMember } from "./credit/group.ts";
import { strategyOf } from "./credit/registry.ts";
import type { Event, Place, Processor, Step, Tick } from "./processor.ts";

type Row = "StepRecorded" | "RolloutAssembled" | "GroupNoted";
type Out = "TransitionRecorded" | "GroupClosed";
type Rows = ReadonlyMap<string, Tagged<Row>>;
type Put = readonly [string, Tagged<Row>];

/** How long a closed group is remembered, so that latecomers do not open it again, ms. */
export const closedFor = 3_600_000;

/** Steps whose rollout is never closed are given up after this, ms. */
export const strayLimit = 24 * 3_600_000;

/** A longer deadline is cut to this, so that every group is closed some day, s. */
const deadlineLimit = 30 * 86_400;

const noteRow = "group";

/**
 * Steps → transitions. Waits until a group is whole (`group_size` members, each with as many steps
 * as its closing record says, in whatever order they came) or until its deadline, counted from the
 * end of its first member; then writes a transition per step and the group's closing record with
 * exact counts. A group is written once: who comes after the deadline stays in ClickHouse only.
 */
export const assignCredit: Processor<"StepRecorded" | "RolloutAssembled", Row, Out> = {
  name: "assign-credit",
  reads: "steps",
  writes: ["transitions"],
  rows: ["StepRecorded", "RolloutAssembled", "GroupNoted"],
  step(rows, event) {
    if (event.type === "Tick") return wake(rows, event);
    check(event);
    if (noteIn(rows)?.closed === true) return {};
    return event.type === "StepRecorded"
      ? addStep(rows, event.value, event)
      : addMember(rows, event.value, event);
  },
};

/** Throws `record-invalid`: such a record can never be credited, and must not stop its group. */
function check({ key, ...record }: Event<"StepRecorded" | "RolloutAssembled">): void {
  const { project, group_id, reward } = record.value;
  const expected = keyOf(project, group_id);
  if (key !== expected) {
    throw invalid(`key: read ${key}, must be ${expected} (project/group id)`);
  }
  if (reward !== null && !Number.isFinite(reward)) {
    throw invalid(`reward: read ${reward}, must be a finite number or null`);
  }
  if (record.type === "StepRecorded") return;
  const { group_deadline_seconds, credit } = record.value;
  if (Number.isNaN(group_deadline_seconds)) {
    throw invalid("group_deadline_seconds: read NaN, must be a number of seconds from 0");
  }
  strategyOf(credit);
}

function addStep(rows: Rows, step: StepRecorded, { key, at }: KeyAndPlace): Step<Row, Out> {
  const id = stepRow(step.rollout_id, step.attempt_id, step.step_index);
  if (rows.has(id)) return {};
  const put: Put[] = [[id, { type: "StepRecorded", value: step }]];
  const member = memberIn(rows, step.rollout_id);
  const note = noteIn(rows);
  if (member !== undefined && note !== undefined) {
    return memberThere(rows, put, member, note, { key, at });
  }
  return rows.size === 0 ? { put, wakeAt: at.timestamp + strayLimit } : { put };
}

function addMember(rows: Rows, member: RolloutAssembled, place: KeyAndPlace): Step<Row, Out> {
  // Nobody knows the group of an abandoned rollout, and it has no steps: nothing waits for it.
  if (member.status === "abandoned") return {};
  if (memberIn(rows, member.rollout_id) !== undefined) return {};
  const put: Put[] = [[memberRow(member.rollout_id), { type: "RolloutAssembled", value: member }]];
  const seconds = Math.min(Math.max(0, member.group_deadline_seconds), deadlineLimit);
  const deadline = member.ended_at + Math.round(seconds * 1e6);
  const before = noteIn(rows);
  const note: GroupNoted = {
    first_at: Math.min(before?.first_at ?? member.ended_at, member.ended_at),
    deadline: Math.min(before?.deadline ?? deadline, deadline),
    closed: false,
    group_size: Math.max(before?.group_size ?? 1, member.group_size),
    members: before?.members ?? [],
  };
  return memberThere(rows, put, member, note, place);
}

type KeyAndPlace = { readonly key: string; readonly at: Place };

/** Writes `put` and the note; closes the group instead if that made this member and it whole. */
function memberThere(
  rows: Rows,
  put: readonly Put[],
  member: RolloutAssembled,
  before: GroupNoted,
  { key, at }: KeyAndPlace,
): Step<Row, Out> {
  const added = new Set(put.map(([id]) => id));
  const whole = isWhole(member, (id) => rows.has(id) || added.has(id));
  const isNew = whole && !before.members.includes(member.rollout_id);
  const note = isNew ? { ...before, members: [...before.members, member.rollout_id] } : before;
  if (note.members.length >= note.group_size) {
    return close(new Map([...rows, ...put]), note, "complete", key, at);
  }
  const noted: Put = [noteRow, { type: "GroupNoted", value: note }];
  return { put: [...put, noted], wakeAt: Math.ceil(note.deadline / 1000) };
}

function wake(rows: Rows, tick: Tick): Step<Row, Out> {
  const note = noteIn(rows);
  if (note === undefined || note.closed) return { drop: "all" };
  return close(rows, note, "deadline", tick.key, tick.at);
}

function close(
  rows: Rows,
  note: GroupNoted,
  reason: "complete" | "deadline",
  key: string,
  at: Place,
): Step<Row, Out> {
  const members = note.members.flatMap((id) => wholeMember(rows, id));
  const closing = { reason, groupSize: note.group_size, closedAt: at.timestamp * 1000 };
  return {
    drop: "all",
    put: [[noteRow, { type: "GroupNoted", value: { ...note, closed: true, members: [] } }]],
    wakeAt: at.timestamp + closedFor,
    emit: creditGroup(members, key, closing).map((record) => ({
      ...record,
      topic: "transitions",
      key,
    })),
  };
}

function isWhole(member: RolloutAssembled, has: (row: string) => boolean): boolean {
  for (let index = 0; index < member.steps; index++) {
    if (!has(stepRow(member.rollout_id, member.attempt_id ?? "", index))) return false;
  }
  return true;
}

function wholeMember(rows: Rows, rolloutId: string): WholeMember[] {
  const rollout = memberIn(rows, rolloutId);
  if (rollout === undefined) return [];
  const steps = Array.from({ length: rollout.steps }, (_, index) =>
    rows.get(stepRow(rolloutId, rollout.attempt_id ?? "", index)),
  );
  return [
    { rollout, steps: steps.flatMap((row) => (row?.type === "StepRecorded" ? [row.value] : [])) },
  ];
}

function stepRow(rolloutId: string, attemptId: string, index: number): string {
  return `step\u0000${rolloutId}\u0000${attemptId}\u0000${index}`;
}

function memberRow(rolloutId: string): string {
  return `member\u0000${rolloutId}`;
}

function memberIn(rows: Rows, rolloutId: string): RolloutAssembled | undefined {
  const row = rows.get(memberRow(rolloutId));
  return row?.type === "RolloutAssembled" ? row.value : undefined;
}

function noteIn(rows: Rows): GroupNoted | undefined {
  const row = rows.get(noteRow);
  return row?.type === "GroupNoted" ? row.value : undefined;
}

function invalid(message: string): LightningError {
  return new LightningError("record-invalid", message);
}
