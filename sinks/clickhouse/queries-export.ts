import type { TransitionRecorded } from "../../schemas/types.ts";
import {
  type ClickHouseClient,
  literals,
  longQuery,
  type Parameters,
  rowsOf,
  unavailable,
} from "./client.ts";
import { type FlatTransition, transitionColumns, transitionOf } from "./queries.ts";

/** Which transitions; a null is no condition. */
export type ExportFilter = {
  /** Bounds of the rollout's final reward, both included; a rollout without one is out then. */
  readonly minReward: number | null;
  readonly maxReward: number | null;
  /** Name of the resource the transition trains. */
  readonly policy: string | null;
  /** Bounds of the policy version that generated it, both included. */
  readonly minVersion: number | null;
  readonly maxVersion: number | null;
  /** RE2 pattern that is found in the agent's name. */
  readonly agent: string | null;
  /** Bounds of the rollout's end, µs since epoch: from, included, and to, excluded. */
  readonly since: number | null;
  readonly until: number | null;
  readonly mode: string | null;
};

/** Last offset of the topic `transitions` that is looked at, by partition. */
export type ExportEnds = Readonly<Record<string, number>>;

/** A group in the revision that counts. */
export type ClosedGroup = {
  readonly group_id: string;
  readonly revision: number;
  readonly transitions: number;
  readonly members: readonly string[];
};

/** How far the log is in ClickHouse now; an export looks at nothing behind it. */
export async function exportEnds(client: ClickHouseClient, project: string): Promise<ExportEnds> {
  const rows = await rowsOf<{ readonly kafka_partition: number; readonly last: number }>(
    client,
    `SELECT kafka_partition, max(kafka_offset) AS last FROM groups
     WHERE project = {project:String} GROUP BY kafka_partition ORDER BY kafka_partition`,
    { project },
  );
  return Object.fromEntries(rows.map(({ kafka_partition, last }) => [kafka_partition, last]));
}

export type ExportPlace = {
  readonly project: string;
  readonly ends: ExportEnds;
  /** The last group that is done; null before the first. */
  readonly after: string | null;
};

/** The next groups in order of their ids; empty at the end. */
export async function exportGroups(
  client: ClickHouseClient,
  { project, ends, after }: ExportPlace,
  limit: number,
): Promise<readonly ClosedGroup[]> {
  const behind = after === null ? "" : "AND group_id > {after:String}";
  return rowsOf<ClosedGroup>(
    client,
    `SELECT group_id, max(g.revision) AS revision, argMax(g.transitions, g.revision) AS transitions,
       argMax(g.members, g.revision) AS members
     FROM groups AS g
     WHERE project = {project:String} ${behind} AND ${within(ends)}
     GROUP BY group_id ORDER BY group_id LIMIT {limit:UInt32}`,
    { project, limit, ...(after !== null && { after }) },
    longQuery,
  );
}

/** How many groups there are up to the ends, and how many transitions they hold. */
export async function exportTotals(
  client: ClickHouseClient,
  { project, ends }: Pick<ExportPlace, "project" | "ends">,
): Promise<{ readonly groups: number; readonly transitions: number }> {
  const [row] = await rowsOf<{ readonly groups: number; readonly transitions: number }>(
    client,
    `SELECT count() AS groups, toInt64(sum(transitions)) AS transitions FROM (
       SELECT argMax(g.transitions, g.revision) AS transitions FROM groups AS g
       WHERE project = {project:String} AND ${within(ends)} GROUP BY group_id)`,
    { project },
  );
  return row ?? { groups: 0, transitions: 0 };
}

function within(ends: ExportEnds): string {
  const places = Object.entries(ends).map(
    ([partition, last]) => `(kafka_partition = ${Number(partition)} AND kafka_offset <= ${last})`,
  );
  return places.length === 0 ? "false" : `(${places.join(" OR ")})`;
}

/**
 * The transitions of these groups that the filter wants, by group, rollout, attempt and step. Whole
 * groups in one revision: what a later one wrote is not in it. Throws `clickhouse-unavailable`.
 */
export async function* exportTransitions(
  client: ClickHouseClient,
  project: string,
  groups: readonly ClosedGroup[],
  filter: ExportFilter,
): AsyncGenerator<TransitionRecorded> {
  const { where, parameters } = conditionsOf(filter);
  const revisions = groups.map(
    (group) => `${literals([group.group_id]).slice(0, -1)}, ${group.revision})`,
  );
  try {
    const result = await client.query({
      query: `SELECT ${transitionColumns} FROM transitions AS t
        WHERE project = {project:String}
          AND rollout_id IN ${literals(groups.flatMap(({ members }) => members))}
          AND (group_id, revision) IN (${revisions.join(", ")}) ${where}
        ORDER BY group_id, rollout_id, attempt_id, step_index`,
      format: "JSONEachRow",
      query_params: { project, ...parameters },
      clickhouse_settings: longQuery,
    });
    for await (const rows of result.stream<FlatTransition>()) {
      for (const row of rows) yield transitionOf(row.json());
    }
  } catch (error) {
    throw unavailable(error);
  }
}

const conditions: Readonly<Record<keyof ExportFilter, string>> = {
  minReward: "rollout_reward >= {minReward:Float64}",
  maxReward: "rollout_reward <= {maxReward:Float64}",
  policy: "policy = {policy:String}",
  minVersion: "policy_version >= {minVersion:Int64}",
  maxVersion: "policy_version <= {maxVersion:Int64}",
  agent: "match(agent, {agent:String})",
  since: "toUnixTimestamp64Micro(t.ended_at) >= {since:Int64}",
  until: "toUnixTimestamp64Micro(t.ended_at) < {until:Int64}",
  mode: "mode = {mode:String}",
};

function conditionsOf(filter: ExportFilter): { where: string; parameters: Parameters } {
  const given = Object.entries(filter).filter(([, value]) => value !== null);
  const where = given.map(([name]) => `AND ${conditions[name as keyof ExportFilter]}`).join(" ");
  return { where, parameters: Object.fromEntries(given) };
}

/** Why ClickHouse cannot use a pattern, in its words; null when it can. */
export async function patternFault(
  client: ClickHouseClient,
  pattern: string,
): Promise<string | null> {
  try {
    await rowsOf(client, "SELECT match('', {pattern:String}) AS found", { pattern });
    return null;
  } catch (error) {
    const cannotCompile = 427;
    const fault = unavailable(error);
    if (fault.fields.serverCode === cannotCompile) return fault.message;
    throw fault;
  }
}

/** A column of a file of rows: its name and its ClickHouse type. */
export type FileColumn = { readonly name: string; readonly sql: string };

/**
 * Rows as a Parquet file (zstd), made by ClickHouse of their JSON lines; the engine takes some 60 MB
 * of text at a time. Throws `clickhouse-unavailable`.
 */
export async function parquetOf(
  client: ClickHouseClient,
  columns: readonly FileColumn[],
  lines: string,
): Promise<Buffer> {
  const structure = columns.map(({ name, sql }) => `\`${name}\` ${sql}`).join(", ");
  let fence = "$rows$";
  while (lines.includes(fence)) fence = `${fence.slice(0, -1)}s$`;
  try {
    const { stream } = await client.exec({
      query: `SELECT * FROM format(JSONEachRow, ${literals([structure]).slice(1, -1)}, ${fence}${lines}${fence}) FORMAT Parquet`,
      clickhouse_settings: {
        max_query_size: String(1024 * 1024 * 1024),
        date_time_input_format: "best_effort",
        output_format_parquet_compression_method: "zstd",
        // A half-written file must not look like a whole one.
        wait_end_of_query: 1,
      },
    });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  } catch (error) {
    throw unavailable(error);
  }
}
