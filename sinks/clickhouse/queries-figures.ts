import { type ClickHouseClient, rowsOf } from "./client.ts";
import { tables } from "./rows.ts";

/** What a project has come to, counted from the tables. */
export type Figures = {
  readonly rollouts: number;
  readonly finished: number;
  readonly spans: number;
  readonly lateSpans: number;
  readonly steps: number;
  readonly transitions: number;
  /** Rows of batches that were trained. */
  readonly trained: number;
  readonly resourceVersions: number;
  readonly deadLetters: number;
};

const one = (what: string, from: string): string =>
  `(SELECT ${what} FROM ${from} WHERE project = {project:String})`;

export async function figuresOf(client: ClickHouseClient, project: string): Promise<Figures> {
  const [row] = await rowsOf<Figures>(
    client,
    `SELECT
       ${one("uniqExact(rollout_id)", "rollout_changes")} AS rollouts,
       ${one("uniqExactIf(rollout_id, status IN ('succeeded', 'failed', 'cancelled'))", "rollout_changes")} AS finished,
       ${one("count()", "spans")} AS spans,
       ${one("count()", "late_spans")} AS lateSpans,
       ${one("count()", "latest_steps")} AS steps,
       ${one("count()", "latest_transitions")} AS transitions,
       ${one("toInt64(sumIf(transitions, event = 'trained'))", "batches")} AS trained,
       ${one("count()", "resources")} AS resourceVersions,
       ${one("count()", "dead_letters")} AS deadLetters`,
    { project },
  );
  return row ?? noFigures;
}

const noFigures: Figures = {
  rollouts: 0,
  finished: 0,
  spans: 0,
  lateSpans: 0,
  steps: 0,
  transitions: 0,
  trained: 0,
  resourceVersions: 0,
  deadLetters: 0,
};

/** Rows too many by table: `count()` without FINAL less the distinct keys. All 0 is the promise. */
export async function duplicates(
  client: ClickHouseClient,
): Promise<Readonly<Record<string, number>>> {
  const each = tables.map(
    ({ name, key }) =>
      `SELECT '${name}' AS name, toInt64(count()) - toInt64(uniqExact(${key.join(", ")})) AS rows FROM ${name}`,
  );
  const rows = await rowsOf<{ name: string; rows: number }>(client, each.join("\nUNION ALL\n"));
  return Object.fromEntries(rows.map(({ name, rows: count }) => [name, count]));
}

export type MeanReward = {
  readonly mode: string | null;
  readonly resources_id: string | null;
  readonly resources_version: number | null;
  readonly rollouts: number;
  /** Over the rollouts that have a reward; null when none has. */
  readonly mean_reward: number | null;
  readonly first_ended_at: string;
};

/** Mean final reward by version of the resources and mode, oldest version first. */
export async function meanRewards(
  client: ClickHouseClient,
  project: string,
): Promise<readonly MeanReward[]> {
  return rowsOf<MeanReward>(
    client,
    `SELECT mode, resources_id, resources_version, toInt64(count()) AS rollouts,
       avg(reward) AS mean_reward, toString(min(ended_at)) AS first_ended_at
     FROM latest_assemblies WHERE project = {project:String}
     GROUP BY mode, resources_id, resources_version
     ORDER BY resources_id, resources_version NULLS FIRST, mode`,
    { project },
  );
}

export type PolicyReward = {
  readonly policy_version: number | null;
  readonly mode: string | null;
  readonly rollouts: number;
  readonly transitions: number;
  readonly mean_reward: number | null;
};

/** Mean final reward by the policy version that generated the actions, and mode. */
export async function meanRewardsByPolicy(
  client: ClickHouseClient,
  project: string,
): Promise<readonly PolicyReward[]> {
  return rowsOf<PolicyReward>(
    client,
    `SELECT policy_version, mode, toInt64(count()) AS rollouts, toInt64(sum(rows)) AS transitions,
       avg(reward) AS mean_reward
     FROM (
       SELECT rollout_id, policy_version, mode, any(rollout_reward) AS reward, count() AS rows
       FROM latest_transitions WHERE project = {project:String}
       GROUP BY rollout_id, policy_version, mode)
     GROUP BY policy_version, mode
     ORDER BY policy_version NULLS FIRST, mode`,
    { project },
  );
}

/** Versions of a resource set that ClickHouse has, newest first, without their contents. */
export async function resourceVersions(
  client: ClickHouseClient,
  project: string,
): Promise<readonly { resources_id: string; version: number; batch_id: string | null }[]> {
  return rowsOf(
    client,
    `SELECT resources_id, version, batch_id FROM resources
     WHERE project = {project:String} ORDER BY resources_id, version DESC`,
    { project },
  );
}
