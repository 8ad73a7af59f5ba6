import type {
  Attempt,
  ResourcesUpdated,
  RolloutChanged,
  SpanRecorded,
} from "../../../schemas/types.ts";
import type { RolloutQuery, Worker } from "../ports.ts";

/** What a field sorts by: never null, so that nulls have the place the reference gives them. */
type Key = (item: never) => number | string;

/** The fields of a model of the reference, in its order; null: declared, but without an order. */
export type Model = Readonly<Record<string, Key | null>>;

export type Order = {
  readonly sortBy: string | null;
  readonly sortOrder: "asc" | "desc";
  /** Negative: all. */
  readonly limit: number;
  readonly offset: number;
};

/** A time that never came is later than all. */
const never = (micros: number | null): number => micros ?? Number.POSITIVE_INFINITY;
const none = (text: string | null): string => text ?? "";

export const rolloutModel = {
  rollout_id: (one: RolloutChanged) => one.rollout_id,
  input: null,
  start_time: (one: RolloutChanged) => one.enqueued_at,
  end_time: (one: RolloutChanged) => never(one.ended_at),
  mode: (one: RolloutChanged) => none(one.mode),
  resources_id: (one: RolloutChanged) => none(one.resources_id),
  status: (one: RolloutChanged) => one.status,
  config: null,
  metadata: null,
} satisfies Model;

/** An attempt with the rollout it belongs to. */
export type OwnedAttempt = { readonly rolloutId: string; readonly attempt: Attempt };

export const attemptModel = {
  rollout_id: (one: OwnedAttempt) => one.rolloutId,
  attempt_id: ({ attempt }: OwnedAttempt) => attempt.attempt_id,
  sequence_id: ({ attempt }: OwnedAttempt) => attempt.sequence_id,
  start_time: ({ attempt }: OwnedAttempt) => attempt.started_at,
  end_time: ({ attempt }: OwnedAttempt) => never(attempt.ended_at),
  status: ({ attempt }: OwnedAttempt) => attempt.status,
  worker_id: ({ attempt }: OwnedAttempt) => none(attempt.worker_id),
  last_heartbeat_time: ({ attempt }: OwnedAttempt) => never(attempt.last_heartbeat_at),
  metadata: null,
} satisfies Model;

export const workerModel = {
  worker_id: (one: Worker) => one.workerId,
  status: (one: Worker) => one.status,
  heartbeat_stats: null,
  last_heartbeat_time: (one: Worker) => never(one.lastHeartbeatAt),
  last_dequeue_time: (one: Worker) => never(one.lastDequeueAt),
  last_busy_time: (one: Worker) => never(one.lastBusyAt),
  last_idle_time: (one: Worker) => never(one.lastIdleAt),
  current_rollout_id: (one: Worker) => none(one.rolloutId),
  current_attempt_id: (one: Worker) => none(one.attemptId),
} satisfies Model;

export const resourcesModel = {
  resources_id: (one: ResourcesUpdated) => one.resources_id,
  create_time: (one: ResourcesUpdated) => one.created_at,
  update_time: (one: ResourcesUpdated) => one.updated_at,
  version: (one: ResourcesUpdated) => one.version,
  resources: null,
} satisfies Model;

/** Times without a value are 0 in a span. */
const spanTime = (micros: number, nanos: number): number =>
  micros === 0 && nanos === 0 ? Number.POSITIVE_INFINITY : micros + nanos / 1000;

export const spanModel = {
  rollout_id: (one: SpanRecorded) => one.rollout_id,
  attempt_id: (one: SpanRecorded) => one.attempt_id,
  sequence_id: (one: SpanRecorded) => one.sequence_id ?? 0,
  trace_id: (one: SpanRecorded) => one.trace_id,
  span_id: (one: SpanRecorded) => one.span_id,
  parent_id: (one: SpanRecorded) => none(one.parent_id),
  name: (one: SpanRecorded) => one.name,
  status: null,
  attributes: null,
  events: null,
  links: null,
  start_time: (one: SpanRecorded) => spanTime(one.start_time, one.start_nanos),
  end_time: (one: SpanRecorded) => spanTime(one.end_time, one.end_nanos),
  context: null,
  parent: null,
  resource: null,
} satisfies Model;

/** The items in the order asked for; ties keep their order whichever way it goes. */
export function sorted<T>(items: readonly T[], model: Model, order: Order): readonly T[] {
  const key =
    order.sortBy === null ? null : (model[order.sortBy] as ((item: T) => number | string) | null);
  if (key === null || items.length < 2) return items;
  const sign = order.sortOrder === "asc" ? 1 : -1;
  return items
    .map((item) => ({ item, by: key(item) }))
    .sort((a, b) => sign * compare(a.by, b.by))
    .map(({ item }) => item);
}

/** The page of the items; `skipped` of those before them are not among them. */
export function paged<T>(items: readonly T[], order: Order, skipped = 0): readonly T[] {
  const from = Math.max(0, order.offset - skipped);
  return items.slice(from, order.limit < 0 ? undefined : from + order.limit);
}

function compare(a: number | string, b: number | string): number {
  if (a === b) return 0;
  if (typeof a === "string" && typeof b === "string" && (hasSurrogate(a) || hasSurrogate(b))) {
    // Python and ClickHouse order by code points, JavaScript by halves of them.
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : 1;
}

function hasSurrogate(text: string): boolean {
  return /[\ud800-\udfff]/.test(text);
}

/** Joins conditions; a null is none. Without any every item matches. */
export function joined<T>(
  logic: "and" | "or",
  conditions: readonly (((item: T) => boolean) | null)[],
): (item: T) => boolean {
  const asked = conditions.filter((condition) => condition !== null);
  if (asked.length === 0) return () => true;
  return logic === "and"
    ? (item) => asked.every((condition) => condition(item))
    : (item) => asked.some((condition) => condition(item));
}

/** Whether a text is one of a list; null is no condition. */
export function among<T>(
  list: readonly string[] | null,
  of: (item: T) => string,
): ((item: T) => boolean) | null {
  if (list === null) return null;
  const allowed = new Set(list);
  return (item) => allowed.has(of(item));
}

/** Whether a text is equal to another; null is no condition, and a null text never matches. */
export function equal<T>(
  wanted: string | null,
  of: (item: T) => string | null,
): ((item: T) => boolean) | null {
  return wanted === null ? null : (item) => of(item) === wanted;
}

/** Whether a text contains another; as {@link equal}. */
export function containing<T>(
  part: string | null,
  of: (item: T) => string | null,
): ((item: T) => boolean) | null {
  return part === null ? null : (item) => of(item)?.includes(part) ?? false;
}

/** The condition of a query of rollouts. */
export function rolloutMatches(query: RolloutQuery): (rollout: RolloutChanged) => boolean {
  return joined<RolloutChanged>(query.logic, [
    among(query.statusIn, (one) => one.status),
    among(query.rolloutIdIn, (one) => one.rollout_id),
    containing(query.rolloutIdContains, (one) => one.rollout_id),
  ]);
}
