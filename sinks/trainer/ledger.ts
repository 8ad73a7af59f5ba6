import { unpackRows } from "../../schemas/packed-rows.ts";
import type { Tagged } from "../../schemas/records.ts";
import { keyOf, type TopicName } from "../../schemas/topics.ts";
import type { GroupClosed, GroupTrained, TransitionRecorded } from "../../schemas/types.ts";
import type { Share } from "./shares.ts";

export type LedgerSettings = {
  /** Memory for rows, bytes; beyond it {@link isFull} asks the runtime to pause the partition. */
  readonly maxBytes: number;
  /** Modes of groups that are trained; a group without a mode counts as `train`. */
  readonly modes: readonly string[];
  /** After so many deliveries without an acknowledgement a group is set aside as `exhausted`. */
  readonly maxDeliveries: number;
  /** How many finished batches are remembered, so that a repeated ack gets the same answer. */
  readonly remembered: number;
};

export const defaultLedgerSettings: LedgerSettings = {
  maxBytes: 256 * 1024 * 1024,
  modes: ["train"],
  maxDeliveries: 20,
  remembered: 1000,
};

/** A record the trainer writes besides its changelog. */
export type TrainerRecord = Tagged<
  "BatchLeased" | "BatchTrained" | "BatchReturned" | "ResourcesUpdated"
> & { readonly topic: TopicName; readonly key: string };

/** Where a batch stands: leased; returned (expired ones can still be acknowledged); or trained. */
export type BatchRow = Tagged<"BatchLeased" | "BatchTrained" | "BatchReturned">;

/** A row of the trainer's compacted changelog; null deletes it. */
export type LedgerRow = {
  readonly key: string;
  readonly value: Tagged<"GroupTrained"> | BatchRow | null;
};

/** What must be written in one transaction, together with the offset to resume from. */
export type Effect = {
  readonly records: readonly TrainerRecord[];
  readonly rows: readonly LedgerRow[];
  readonly lowWatermark: number;
};

/**
 * What of a closed group trains one policy: all of it, unless its agents are routed to several.
 * `id` names this closing of it: key, and offset of its GroupClosed with the number of the share.
 */
export type Group = Omit<Share, "rows"> & {
  readonly id: string;
  readonly closed: GroupClosed;
  readonly firstOffset: number;
  readonly closeOffset: number;
  readonly tokens: number;
  /** How many rows it has. */
  readonly size: number;
  /** The rows, for {@link rowsOfGroup}: they may wait for hours until a worker takes them. */
  readonly packed: Buffer;
  /** Memory held, bytes. */
  readonly bytes: number;
};

/** Decodes them anew each time. */
export function rowsOfGroup({ packed }: Group): TransitionRecorded[] {
  return unpackRows(packed).flatMap(([, row]) =>
    row.type === "TransitionRecorded" ? [row.value] : [],
  );
}

/** Rows of a group that is not closed yet. */
export type OpenGroup = {
  readonly rows: Map<string, TransitionRecorded>;
  readonly firstOffset: number;
  bytes: number;
};

/**
 * The trainer's state of one partition of `transitions`, stepped in place by groups.ts (records),
 * leases.ts and settle.ts (workers). Every step notes what it changed; {@link take} hands that over for one
 * transaction. When a commit fails the ledger is thrown away and made again: {@link createLedger}
 * at the committed low watermark, {@link restore} of each changelog row, records from there on.
 */
export type Ledger = {
  readonly partition: number;
  readonly settings: LedgerSettings;
  /** Next offset of `transitions` to be recorded. */
  position: number;
  /** Memory held, bytes (estimate). */
  bytes: number;
  /** By key and revision. */
  readonly open: Map<string, OpenGroup>;
  /** Whole groups that are not done, by id; leased ones included. */
  readonly groups: Map<string, Group>;
  /**
   * First offset of everything in `open` and `groups` → how many start there. In log order, as
   * offsets are first held when they are read: the first is the low watermark.
   */
  readonly firstOffsets: Map<number, number>;
  /** Those that can be leased, oldest closing first. */
  ready: Group[];
  /** By group id; only groups that were given out or are done have one. */
  readonly marks: Map<string, GroupTrained>;
  readonly batches: Map<string, BatchRow>;
  /** Batch id → groups whose last delivery it was. */
  readonly members: Map<string, Set<string>>;
  /** Keys the changelog holds. */
  readonly stored: Set<string>;
  changed: Map<string, LedgerRow["value"]>;
  records: TrainerRecord[];
  /** Low watermark below which done marks have been dropped. */
  swept: number;
};

const markBytes = 256;

/** An empty ledger that expects `position` (the committed low watermark) next. */
export function createLedger(
  partition: number,
  position: number,
  settings: LedgerSettings = defaultLedgerSettings,
): Ledger {
  return {
    partition,
    settings,
    position,
    bytes: 0,
    open: new Map(),
    groups: new Map(),
    firstOffsets: new Map(),
    ready: [],
    marks: new Map(),
    batches: new Map(),
    members: new Map(),
    stored: new Set(),
    changed: new Map(),
    records: [],
    swept: position,
  };
}

/** Puts a changelog row back; all rows, in log order, before the first record. */
export function restore(ledger: Ledger, row: LedgerRow): void {
  if (row.key.startsWith(groupPrefix)) {
    const mark = row.value?.type === "GroupTrained" ? row.value.value : null;
    putMark(ledger, row.key.slice(groupPrefix.length), mark);
  } else if (row.key.startsWith(batchPrefix)) {
    putBatch(
      ledger,
      row.key.slice(batchPrefix.length),
      row.value?.type === "GroupTrained" ? null : row.value,
    );
  }
  if (row.value === null) ledger.stored.delete(row.key);
  else ledger.stored.add(row.key);
}

/** Offset to resume from: the first record of a group that is not done, else the next record. */
export function lowWatermark(ledger: Ledger): number {
  const [first = ledger.position] = ledger.firstOffsets.keys();
  return first;
}

/** Keeps the low watermark at or below a first offset until it is released as often. */
export function hold({ firstOffsets }: Ledger, offset: number): void {
  firstOffsets.set(offset, (firstOffsets.get(offset) ?? 0) + 1);
}

export function release({ firstOffsets }: Ledger, offset: number): void {
  const left = (firstOffsets.get(offset) ?? 0) - 1;
  if (left > 0) firstOffsets.set(offset, left);
  else firstOffsets.delete(offset);
}

/**
 * Whether the partition should be paused. Never while no group is whole: then only reading on can
 * complete one and free memory.
 */
export function isFull(ledger: Ledger): boolean {
  return ledger.bytes > ledger.settings.maxBytes && ledger.groups.size > 0;
}

/** What changed since the last call. Counts as committed: the caller commits it or drops the ledger. */
export function take(ledger: Ledger): Effect {
  const watermark = lowWatermark(ledger);
  sweep(ledger, watermark);
  forget(ledger);
  const rows: LedgerRow[] = [];
  for (const [key, value] of ledger.changed) {
    if (value === null && !ledger.stored.has(key)) continue;
    rows.push({ key, value });
    if (value === null) ledger.stored.delete(key);
    else ledger.stored.add(key);
  }
  const { records } = ledger;
  ledger.records = [];
  ledger.changed = new Map();
  return { records, rows, lowWatermark: watermark };
}

/** Marks of done groups below the watermark are never asked for again: no record leads to them. */
function sweep(ledger: Ledger, watermark: number): void {
  if (watermark <= ledger.swept) return;
  ledger.swept = watermark;
  for (const [id, mark] of ledger.marks) {
    if (mark.done && mark.offset < watermark) setMark(ledger, id, null);
  }
}

/** Drops the oldest finished batches, a quarter more than needed so that sorting is rare. */
function forget(ledger: Ledger): void {
  const { remembered } = ledger.settings;
  if (ledger.batches.size <= remembered * 1.25) return;
  const finished = [...ledger.batches]
    .flatMap(([id, row]) => {
      if (row.type === "BatchLeased") return [];
      return [
        { id, at: row.type === "BatchTrained" ? row.value.trained_at : row.value.returned_at },
      ];
    })
    .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  for (const { id } of finished.slice(0, Math.max(0, finished.length - remembered))) {
    setBatch(ledger, id, null);
  }
}

const groupPrefix = "group/";
const batchPrefix = "batch/";

export function setMark(ledger: Ledger, id: string, mark: GroupTrained | null): void {
  putMark(ledger, id, mark);
  ledger.changed.set(groupPrefix + id, mark && { type: "GroupTrained", value: mark });
}

export function setBatch(ledger: Ledger, id: string, row: BatchRow | null): void {
  putBatch(ledger, id, row);
  ledger.changed.set(batchPrefix + id, row);
}

function putMark(ledger: Ledger, id: string, mark: GroupTrained | null): void {
  const before = ledger.marks.get(id);
  if (before?.batch_id) {
    const members = ledger.members.get(before.batch_id);
    members?.delete(id);
    if (members?.size === 0) ledger.members.delete(before.batch_id);
  }
  if (before !== undefined) ledger.bytes -= markBytes;
  if (mark === null) {
    ledger.marks.delete(id);
    return;
  }
  ledger.bytes += markBytes;
  ledger.marks.set(id, mark);
  if (mark.batch_id === null) return;
  const members = ledger.members.get(mark.batch_id) ?? new Set();
  ledger.members.set(mark.batch_id, members.add(id));
}

function putBatch(ledger: Ledger, id: string, row: BatchRow | null): void {
  if (row === null) ledger.batches.delete(id);
  else ledger.batches.set(id, row);
}

/** Notes a record for `batches`. */
export function report(ledger: Ledger, row: BatchRow): void {
  const key = keyOf(row.value.project, row.value.batch_id);
  ledger.records.push({ ...row, topic: "batches", key });
}
