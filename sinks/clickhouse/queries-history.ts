import { LightningError } from "../../schemas/errors.ts";
import { type ClickHouseClient, literals, longQuery, pageOf, rowsOf } from "./client.ts";
import { type RolloutChange, rolloutsById } from "./queries.ts";

/** Which rollouts; a null is no condition, an empty list matches nothing. */
export type PastQuery = {
  readonly project: string;
  /** Ids of rollouts to leave out. */
  readonly except: readonly string[];
  readonly statusIn: readonly string[] | null;
  readonly rolloutIdIn: readonly string[] | null;
  /** A case-sensitive part of the id. */
  readonly rolloutIdContains: string | null;
  /** How the three conditions are joined. */
  readonly logic: "and" | "or";
  readonly sortBy: string | null;
  readonly sortOrder: "asc" | "desc";
  /** Negative: all. */
  readonly limit: number;
  readonly offset: number;
};

/** The farthest time there is: what has no end yet sorts behind everything. */
const never = "toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC')";

/**
 * What a field is sorted by: of the last change of the rollout (`c`), nulls of text first and nulls
 * of times last, in ascending order.
 */
const sortKeys: Readonly<Record<string, string>> = {
  rollout_id: "rollout_id",
  start_time: "enqueued_at",
  end_time: `ifNull(argMax(tuple(c.ended_at), c.request_offset).1, ${never})`,
  mode: "ifNull(toString(argMax(tuple(c.mode), c.request_offset).1), '')",
  resources_id: "ifNull(argMax(tuple(c.resources_id), c.request_offset).1, '')",
  status: "toString(argMax(c.status, c.request_offset))",
};

const times: ReadonlySet<string> = new Set(["start_time", "end_time"]);

/** The fields that rollouts can be sorted by. */
export const pastSortFields: readonly string[] = Object.keys(sortKeys);

/** Rows fetched whole in one query: a rollout may carry megabytes of input. */
const rowsAtOnce = 500;

/**
 * Groups come in the order of the primary key, so that ClickHouse holds one rollout at a time and
 * not all of them. The project is one, and not a column of the groups: that would cost a third more.
 * Small blocks: several are under way for every part of the table.
 */
const inOrder = {
  ...longQuery,
  optimize_aggregation_in_order: 1,
  max_block_size: "8192",
} as const;

/** More rows than there are: ClickHouse counts what matches only where there is a limit. */
const all = 4_294_967_295;

/** Where a rollout stands in an order; times in µs, what has no end yet has the latest one. */
export type PastPlace = {
  readonly rollout_id: string;
  readonly enqueued_at: number;
  readonly sort_key: number | string;
};

/**
 * The places of one page of rollouts, and how many match: by the columns that matter alone, so that
 * what is fetched whole afterwards (`rolloutsInOrder`) is what somebody will see.
 *
 * Throws `request-invalid` for a field that cannot be sorted by.
 */
export async function searchRollouts(
  client: ClickHouseClient,
  query: PastQuery,
): Promise<{ readonly places: readonly PastPlace[]; readonly total: number }> {
  const { project, limit, offset, sortBy } = query;
  const descending = sortBy !== null && query.sortOrder === "desc";
  const isTime = sortBy === null || times.has(sortBy);
  const { rows, total } = await pageOf<PastPlace>(
    client,
    `SELECT rollout_id, toUnixTimestamp64Micro(enqueued_at) AS enqueued_at,
       ${isTime ? "toUnixTimestamp64Micro(sort_key)" : "sort_key"} AS sort_key
     FROM (${matchingSql(narrowed(query))}) AS m
     ORDER BY m.sort_key ${descending ? "DESC" : "ASC"}, m.enqueued_at, m.rollout_id
     LIMIT ${limit < 0 ? all : Math.max(1, limit)} OFFSET ${offset}`,
    { project },
    inOrder,
  );
  return { places: limit === 0 ? [] : rows, total };
}

/** Where only some ids can match, those to leave out need not be said: they may be thousands. */
function narrowed(query: PastQuery): PastQuery {
  if (query.logic === "or" || query.rolloutIdIn === null) return query;
  const out = new Set(query.except);
  return { ...query, except: [], rolloutIdIn: query.rolloutIdIn.filter((id) => !out.has(id)) };
}

/** Rollouts as their last change left them, in the order of the ids; unknown ids are left out. */
export async function rolloutsInOrder(
  client: ClickHouseClient,
  project: string,
  ids: readonly string[],
): Promise<RolloutChange[]> {
  const items: RolloutChange[] = [];
  for (let at = 0; at < ids.length; at += rowsAtOnce) {
    const some = ids.slice(at, at + rowsAtOnce);
    const rows = await rolloutsById(client, project, some);
    const byId = new Map(rows.map((row) => [row.rollout_id, row]));
    items.push(...some.flatMap((id) => byId.get(id) ?? []));
  }
  return items;
}

/** `rollout_id`, `enqueued_at` and `sort_key` of what matches. */
function matchingSql(query: PastQuery): string {
  const sortKey = query.sortBy === null ? "enqueued_at" : sortKeys[query.sortBy];
  if (sortKey === undefined) {
    throw new LightningError(
      "request-invalid",
      `sort_by: read ${query.sortBy}, allowed are ${pastSortFields.join(", ")}`,
      { field: "sort_by" },
    );
  }
  return `SELECT rollout_id, any(c.enqueued_at) AS enqueued_at, ${sortKey} AS sort_key
    FROM rollout_changes AS c
    WHERE project = {project:String} ${except(query.except)} ${idCondition(query)}
    GROUP BY rollout_id
    ${conditionOf(query)}`;
}

function except(ids: readonly string[]): string {
  return ids.length === 0 ? "" : `AND rollout_id NOT IN ${literals(ids)}`;
}

/** What the id says alone, where all conditions must hold: the primary key finds it. */
function idCondition(query: PastQuery): string {
  if (query.logic === "or") return "";
  return idConditions(query)
    .map((condition) => `AND ${condition}`)
    .join(" ");
}

function idConditions({ rolloutIdIn, rolloutIdContains }: PastQuery): string[] {
  const conditions = [
    rolloutIdIn === null ? null : oneOf("rollout_id", rolloutIdIn),
    rolloutIdContains === null
      ? null
      : `position(rollout_id, ${literals([rolloutIdContains]).slice(1, -1)}) > 0`,
  ];
  return conditions.filter((condition) => condition !== null);
}

function conditionOf(query: PastQuery): string {
  const { statusIn, logic } = query;
  const conditions = [
    ...(statusIn === null ? [] : [oneOf("toString(argMax(c.status, c.request_offset))", statusIn)]),
    ...(logic === "and" ? [] : idConditions(query)),
  ];
  return conditions.length === 0
    ? ""
    : `HAVING ${conditions.join(logic === "and" ? " AND " : " OR ")}`;
}

function oneOf(column: string, values: readonly string[]): string {
  return values.length === 0 ? "false" : `${column} IN ${literals(values)}`;
}

/** How many rollouts a project has besides some, and how many attempts they had. */
export async function countRollouts(
  client: ClickHouseClient,
  project: string,
  exceptIds: readonly string[],
): Promise<{ readonly rollouts: number; readonly attempts: number }> {
  const [row] = await rowsOf<{ readonly rollouts: number; readonly attempts: number }>(
    client,
    `SELECT count() AS rollouts, sum(attempts) AS attempts FROM (
       SELECT max(length(c.attempts)) AS attempts FROM rollout_changes AS c
       WHERE project = {project:String} ${except(exceptIds)}
       GROUP BY rollout_id)`,
    { project },
    inOrder,
  );
  return row ?? { rollouts: 0, attempts: 0 };
}

/** Offset of the latest request whose change is here, by partition. */
export async function lastRequests(client: ClickHouseClient): Promise<ReadonlyMap<number, number>> {
  const rows = await rowsOf<{ readonly kafka_partition: number; readonly last: number }>(
    client,
    `SELECT kafka_partition, max(request_offset) AS last FROM rollout_changes
     GROUP BY kafka_partition`,
  );
  return new Map(rows.map(({ kafka_partition, last }) => [kafka_partition, last]));
}
