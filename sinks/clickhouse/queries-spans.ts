import { packFloat64, packInt32 } from "../../schemas/bytes.ts";
import type { Attributes, SpanEvent, SpanLink, SpanRecorded } from "../../schemas/types.ts";
import { type ClickHouseClient, double, literals, longQuery, rowsOf } from "./client.ts";

export type SpanQuery = {
  readonly project: string;
  /** Several at once cost little more than one. */
  readonly rolloutIds: readonly string[];
  /** Only these attempts; all unless given. */
  readonly attemptIds?: readonly string[];
  readonly limit?: number;
};

/** A span as it was recorded, with its place in the log. */
export type StoredSpan = SpanRecorded & {
  readonly kafka_partition: number;
  readonly kafka_offset: number;
};

type Maps = { readonly strings: Record<string, string>; readonly others: Record<string, string> };
type FlatSpan = Omit<
  SpanRecorded,
  "start_time" | "end_time" | "attributes" | "resource" | "events" | "links"
> & {
  /** ns since epoch; int64 as text. */
  readonly start_time: string;
  readonly end_time: string;
  readonly attributes: {
    readonly [Part in keyof Attributes]: Record<string, unknown>;
  };
  readonly resource: Maps;
  readonly events: readonly (Maps & { name: string; time: string; dropped_attributes: number })[];
  readonly links: readonly (Maps & Omit<SpanLink, "attributes">)[];
  readonly kafka_partition: number;
  readonly kafka_offset: number;
};

const text = "toString(toUnixTimestamp64Nano";

/** Spans of rollouts in order of rollout, attempt, sequence number, start. */
export async function spansOf(
  client: ClickHouseClient,
  { project, rolloutIds, attemptIds, limit = 100_000 }: SpanQuery,
): Promise<readonly StoredSpan[]> {
  const rows = await rowsOf<FlatSpan>(
    client,
    `SELECT * EXCEPT(service_name, kafka_topic, kafka_timestamp) REPLACE(
       ${text}(start_time)) AS start_time, ${text}(end_time)) AS end_time,
       arrayMap(e -> CAST((e.name, ${text}(e.time)), e.strings, e.others, e.dropped_attributes),
         'Tuple(name String, time String, strings Map(String, String), others Map(String, String),
           dropped_attributes Int64)'), events) AS events)
     FROM spans
     WHERE project = {project:String} AND rollout_id IN ${literals(rolloutIds)}
       ${attemptIds === undefined ? "" : `AND attempt_id IN ${literals(attemptIds)}`}
     ORDER BY rollout_id, attempt_id, sequence_id NULLS LAST, spans.start_time, span_id
     LIMIT {limit:UInt32}`,
    { project, limit },
    longQuery,
  );
  return rows.map(spanOf);
}

/** Which span stands where, without what is in it. */
export type SpanPlace = {
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly span_id: string;
  readonly kafka_partition: number;
  readonly kafka_offset: number;
};

/** The places of all spans of rollouts, in no order. */
export async function spanPlaces(
  client: ClickHouseClient,
  project: string,
  rolloutIds: readonly string[],
): Promise<readonly SpanPlace[]> {
  return rowsOf<SpanPlace>(
    client,
    `SELECT rollout_id, attempt_id, span_id, kafka_partition, kafka_offset FROM spans
     WHERE project = {project:String} AND rollout_id IN ${literals(rolloutIds)}`,
    { project },
    longQuery,
  );
}

/** The highest sequence number of a rollout's spans, null when none has one. */
export async function highestSequence(
  client: ClickHouseClient,
  project: string,
  rolloutId: string,
): Promise<number | null> {
  const [row] = await rowsOf<{ readonly highest: number | null }>(
    client,
    `SELECT max(sequence_id) AS highest FROM spans
     WHERE project = {project:String} AND rollout_id = {rolloutId:String}`,
    { project, rolloutId },
  );
  return row?.highest ?? null;
}

/** How many spans of a project stand before the given offsets, by partition. */
export async function countSpansBefore(
  client: ClickHouseClient,
  project: string,
  ends: ReadonlyMap<number, number>,
): Promise<number> {
  const before = [...ends].map(([p, end]) => `(kafka_partition = ${p} AND kafka_offset < ${end})`);
  const [row] = await rowsOf<{ readonly spans: number }>(
    client,
    `SELECT count() AS spans FROM spans
     WHERE project = {project:String} AND (${["false", ...before].join(" OR ")})`,
    { project },
  );
  return row?.spans ?? 0;
}

function spanOf(row: FlatSpan): StoredSpan {
  const start = splitNanos(row.start_time);
  const end = splitNanos(row.end_time);
  return {
    ...row,
    start_time: start.micros,
    start_nanos: start.nanos,
    end_time: end.micros,
    end_nanos: end.nanos,
    attributes: attributesOf(row.attributes),
    resource: fromLiterals(row.resource),
    events: row.events.map(({ name, time, dropped_attributes, ...maps }): SpanEvent => {
      const { micros, nanos } = splitNanos(time);
      return { name, time: micros, nanos, attributes: fromLiterals(maps), dropped_attributes };
    }),
    links: row.links.map(
      ({ strings, others, ...link }): SpanLink => ({
        ...link,
        attributes: fromLiterals({ strings, others }),
      }),
    ),
  };
}

function splitNanos(value: string): { micros: number; nanos: number } {
  const all = BigInt(value);
  const nanos = ((all % 1000n) + 1000n) % 1000n;
  return { micros: Number((all - nanos) / 1000n), nanos: Number(nanos) };
}

function mapped<T>(values: Record<string, unknown>, to: (value: unknown) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, to(value)]));
}

function attributesOf(stored: FlatSpan["attributes"]): Attributes {
  return {
    strings: mapped(stored.strings, String),
    longs: mapped(stored.longs, Number),
    doubles: mapped(stored.doubles, double),
    booleans: mapped(stored.booleans, (value) => value === true),
    int_lists: mapped(stored.int_lists, (value) => packInt32(value as number[])),
    double_lists: mapped(stored.double_lists, (value) =>
      packFloat64((value as unknown[]).map(double)),
    ),
    json: mapped(stored.json, String),
  };
}

/** Attributes from the literals of `rows/spans.ts`: 2 and 2.0, true, [1], [1.0], else JSON. */
export function fromLiterals({ strings, others }: Maps): Attributes {
  const attributes: Attributes = {
    strings,
    longs: {},
    doubles: {},
    booleans: {},
    int_lists: {},
    double_lists: {},
    json: {},
  };
  for (const [name, value] of Object.entries(others)) {
    const items = /^\[.+\]$/.test(value) ? value.slice(1, -1).split(",") : null;
    if (value === "true" || value === "false") attributes.booleans[name] = value === "true";
    else if (isLong(value)) attributes.longs[name] = Number(value);
    else if (isDouble(value)) attributes.doubles[name] = Number(value);
    else if (items?.every(isInt32)) attributes.int_lists[name] = packInt32(items.map(Number));
    else if (items?.every(isDouble)) attributes.double_lists[name] = packFloat64(items.map(Number));
    else attributes.json[name] = value;
  }
  return attributes;
}

const isLong = (value: string): boolean =>
  /^-?\d{1,16}$/.test(value) && Number.isSafeInteger(Number(value));
const isInt32 = (value: string): boolean =>
  /^-?\d{1,10}$/.test(value) && Number(value) === (Number(value) | 0);
const isDouble = (value: string): boolean =>
  /^(NaN|-?Infinity|-?\d+(\.\d+)?(e[-+]\d+)?)$/.test(value) && !/^-?\d+$/.test(value);
