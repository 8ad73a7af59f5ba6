import { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import { keyOf } from "../schemas/topics.ts";
import type {
  CreditAssigned,
  GroupNoted,
  RolloutAssembled,
  StepRecorded,
} from "../schemas/types.ts";
import { type Credited, creditGroup } from "./credit/group.ts";
import { strategyOf } from "./credit/registry.ts";
import { answerOf, requestOf } from "./credit/request.ts";
import type { WholeMember } from "./credit/sampling.ts";
import {
  isWhole,
  memberRow,
  noteIn,
  type Put,
  pendingRow,
  putNote,
  type Row,
  type Rows,
  rolloutIn,
  stepRow,
  stepRowsOf,
  wholeMembers,
  withPut,
} from "./credit/state.ts";
import type { Assigned } from "./credit/strategy.ts";
import { digestOf } from "./digest.ts";
import type { Emitted, Event, Place, Processor, Step } from "./processor.ts";

type In = "StepRecorded" | "RolloutAssembled" | "CallOmitted" | "CreditAssigned";
type Out = Credited | "CreditRequested";
type Change = Step<Row, Out>;

/** How long a closed group is remembered, so that latecomers do not open it again, ms. */
export const closedFor = 3_600_000;

/** Steps whose rollout is never closed are given up after this, ms. */
export const strayLimit = 24 * 3_600_000;

/** A longer deadline or grace is cut to this, so that every group is forgotten some day, s. */
const deadlineLimit = 30 * 86_400;

/**
 * Steps → transitions. Waits until a group is whole (`group_size` members, each with as many steps
 * as its closing record says, in whatever order they came) or until its deadline, counted from the
 * end of its first member; then writes a transition per step, why steps gave none, and the group's
 * closing record with exact counts. Who comes after the deadline stays in ClickHouse only.
 *
 * A member of a larger `revision` takes the place of the former one once all its steps are there. A
 * group that was written is then written again, whole and under the next revision, unless the rows
 * would be the same; for that its rows are kept for as long as the grace of a member may revise it.
 * What the newest revision says does not depend on the order of the records, its number may.
 *
 * With an `external` strategy the closing asks, and the answer or its deadline writes.
 */
export const assignCredit: Processor<In, Row, Out> = {
  name: "assign-credit",
  reads: "steps",
  writes: ["transitions", "credit-requests"],
  rows: ["StepRecorded", "RolloutAssembled", "GroupNoted"],
  step(rows, event) {
    if (event.type === "Tick") return wake(rows, event);
    if (event.type === "CallOmitted") return {};
    checkKey(event);
    if (event.type === "StepRecorded") return addStep(rows, event.value, event);
    if (event.type === "RolloutAssembled") return addMember(rows, event.value, event);
    return addAnswer(rows, event.value, event);
  },
};

/** What is wrong with a record is `record-invalid`: it must not stop its group. */
function checkKey({ key, value }: Event<Exclude<In, "CallOmitted">>): void {
  const expected = keyOf(value.project, value.group_id);
  if (key === expected) return;
  throw invalid(`key: read ${key}, must be ${expected} (project/group id)`);
}

function checkStep(step: StepRecorded): void {
  checkReward(step.reward);
  for (const name of ["prompt_ids", "response_ids"] as const) {
    const bytes = step[name].length;
    if (bytes % 4 === 0) continue;
    throw invalid(`${name}: read ${bytes} bytes, must be a multiple of 4 (int32 token ids)`);
  }
}

function checkMember(member: RolloutAssembled): void {
  checkReward(member.reward);
  for (const name of ["group_deadline_seconds", "grace_seconds"] as const) {
    if (!Number.isNaN(member[name])) continue;
    throw invalid(`${name}: read NaN, must be a number of seconds from 0`);
  }
  strategyOf(member.credit);
}

function checkReward(reward: number | null): void {
  if (reward === null || Number.isFinite(reward)) return;
  throw invalid(`reward: read ${reward}, must be a finite number or null`);
}

type KeyAndPlace = { readonly key: string; readonly at: Place };

/** Whether a record is of a revision in force or older, or of nobody's in a closed group. */
function comesTooLate(rows: Rows, { rollout_id, revision }: StepRecorded | RolloutAssembled) {
  const inForce = rolloutIn(rows, memberRow(rollout_id));
  return inForce === undefined ? noteIn(rows)?.closed === true : revision <= inForce.revision;
}

function addStep(
  rows: ReadonlyMap<string, Tagged<Row>>,
  step: StepRecorded,
  place: KeyAndPlace,
): Change {
  checkStep(step);
  const id = stepRow(step, step.step_index);
  if (comesTooLate(rows, step) || rows.has(id)) return {};
  const put: Put[] = [[id, { type: "StepRecorded", value: step }]];
  const pending = rolloutIn(rows, pendingRow(step));
  const note = noteIn(rows);
  if (pending !== undefined && note !== undefined && isWhole(withPut(rows, put), pending)) {
    return takePart(rows, put, pending, note, place);
  }
  return rows.size === 0 ? { put, wakeAt: place.at.timestamp + strayLimit } : { put };
}

function addMember(rows: Rows, member: RolloutAssembled, place: KeyAndPlace): Change {
  checkMember(member);
  // Nobody knows the group of an abandoned rollout, and it has no steps: nothing waits for it.
  if (member.status === "abandoned") return {};
  if (comesTooLate(rows, member) || rows.has(pendingRow(member))) return {};
  const before = noteIn(rows);
  const note = before?.closed === true ? before : noteWith(before, member);
  if (isWhole(rows, member)) return takePart(rows, [], member, note, place);
  const pending: Put = [pendingRow(member), { type: "RolloutAssembled", value: member }];
  if (note.closed) return { put: [pending] };
  return { put: [pending, putNote(note)], wakeAt: Math.ceil(note.deadline / 1000) };
}

function noteWith(before: GroupNoted | undefined, member: RolloutAssembled): GroupNoted {
  const seconds = Math.min(Math.max(0, member.group_deadline_seconds), deadlineLimit);
  const deadline = member.ended_at + Math.round(seconds * 1e6);
  return {
    first_at: Math.min(before?.first_at ?? member.ended_at, member.ended_at),
    deadline: Math.min(before?.deadline ?? deadline, deadline),
    closed: false,
    group_size: Math.max(before?.group_size ?? 1, member.group_size),
    members: before?.members ?? [],
    revision: 0,
    transitions: 0,
    written: "",
    asked_at: null,
  };
}

/** Puts a member that has all its steps in force; closes or writes the group when it is time to. */
function takePart(
  rows: Rows,
  steps: readonly Put[],
  member: RolloutAssembled,
  before: GroupNoted,
  place: KeyAndPlace,
): Change {
  const former = rolloutIn(rows, memberRow(member.rollout_id));
  const members = former === undefined ? [...before.members, member.rollout_id] : before.members;
  const note = { ...before, members };
  const put: Put[] = [
    ...steps,
    [memberRow(member.rollout_id), { type: "RolloutAssembled", value: member }],
  ];
  // Rows of revisions it overtook before they were whole go with the group.
  const drop = former === undefined ? [] : stepRowsOf(former);
  if (rows.has(pendingRow(member))) drop.push(pendingRow(member));
  if (note.closed || members.length >= note.group_size) {
    return close(withPut(rows, put), note, place, { put, drop });
  }
  return { drop, put: [...put, putNote(note)], wakeAt: Math.ceil(note.deadline / 1000) };
}

function wake(rows: Rows, tick: KeyAndPlace): Change {
  const note = noteIn(rows);
  if (note === undefined) return { drop: "all" };
  if (!note.closed) return close(rows, note, tick, {});
  if (note.asked_at === null) return { drop: "all" };
  return write(wholeMembers(rows, note), note, tick, {}, null);
}

function addAnswer(rows: Rows, answer: CreditAssigned, place: KeyAndPlace): Change {
  const note = noteIn(rows);
  // Said twice, or after the deadline: the rows are written.
  if (note === undefined || note.asked_at === null) return {};
  const members = wholeMembers(rows, note);
  const assigned = answerOf(members, answer);
  return assigned === null ? {} : write(members, note, place, {}, assigned);
}

/** What the record that led to a closing changes besides. */
type Besides = { readonly put?: readonly Put[]; readonly drop?: readonly string[] };

/** Closes a group, or writes a closed one again: asks when the strategy is external, else writes. */
function close(rows: Rows, note: GroupNoted, place: KeyAndPlace, besides: Besides): Change {
  const members = wholeMembers(rows, note);
  const request = requestOf(members, place.key, place.at.timestamp);
  if (request === null) return write(members, note, place, besides, null);
  const asked = { ...note, closed: true, asked_at: place.at.timestamp * 1000 };
  return {
    drop: besides.drop ?? [],
    put: [...(besides.put ?? []), putNote(asked)],
    wakeAt: request.deadline,
    emit: [{ ...request.record, topic: "credit-requests", key: place.key }],
  };
}

function write(
  members: readonly WholeMember[],
  note: GroupNoted,
  { key, at }: KeyAndPlace,
  besides: Besides,
  answer: readonly Assigned[] | null,
): Change {
  const isNew = note.written === "";
  const closing = {
    reason: note.members.length >= note.group_size ? ("complete" as const) : ("deadline" as const),
    groupSize: note.group_size,
    closedAt: at.timestamp * 1000,
    revision: isNew ? 0 : note.revision + 1,
    replaces: isNew ? 0 : note.transitions,
  };
  const records = creditGroup(members, key, closing, answer);
  const emit = (): Emitted<Out>[] =>
    records.map((record) => ({ ...record, topic: "transitions", key }));
  const closed = { ...note, closed: true, asked_at: null };
  const revisable = revisableUntil(members);
  if (revisable === null) {
    const put = [putNote({ ...closed, members: [] })];
    return { drop: "all", put, wakeAt: at.timestamp + closedFor, emit: emit() };
  }
  const written = digestOf(records.map(withoutWriting));
  const changed = written !== note.written;
  const revision = changed ? closing.revision : note.revision;
  const transitions = records.filter(({ type }) => type === "TransitionRecorded").length;
  return {
    drop: besides.drop ?? [],
    put: [...(besides.put ?? []), putNote({ ...closed, revision, transitions, written })],
    wakeAt: Math.max(at.timestamp, revisable) + closedFor,
    emit: changed ? emit() : [],
  };
}

/** What was written, without what differs between two writings of the same. */
function withoutWriting({ type, value }: Tagged<Credited>): unknown {
  const same = type === "GroupClosed" ? { closed_at: 0, replaces: 0 } : {};
  return [type, { ...value, ...same, revision: 0 }];
}

/** Until when late spans may revise a member, log time in ms; null when no member has a grace. */
function revisableUntil(members: readonly WholeMember[]): number | null {
  const ends = members.flatMap(({ rollout: { ended_at, grace_seconds } }) =>
    grace_seconds > 0
      ? [Math.ceil(ended_at / 1000 + Math.min(grace_seconds, deadlineLimit) * 1000)]
      : [],
  );
  return ends.length === 0 ? null : ends.reduce((a, b) => Math.max(a, b));
}

function invalid(message: string): LightningError {
  return new LightningError("record-invalid", message);
}
