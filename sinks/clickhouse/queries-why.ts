import { type ClickHouseClient, literals, longQuery, rowsOf } from "./client.ts";
import { rolloutsById } from "./queries.ts";

/** How a rollout was assembled, in its newest revision. */
export type AssemblyFacts = {
  readonly group_id: string;
  readonly group_size: number;
  readonly attempt_id: string | null;
  readonly status: string;
  readonly calls: number;
  readonly steps: number;
  readonly omitted: number;
  readonly spans: number;
  readonly reward: number | null;
  readonly unmatched_rewards: number;
  readonly late_rewards: number;
  readonly revision: number;
};

/** How a group was closed, in its newest revision. */
export type GroupFacts = {
  readonly reason: string;
  readonly group_size: number;
  readonly members: readonly string[];
  readonly transitions: number;
  readonly withheld: number;
  readonly equal_rewards: number;
  readonly credit_strategy: string;
  readonly revision: number;
};

/** One LLM call, a choice of it, or (without a span) the rollout as a whole. */
export type CallFacts = {
  readonly span_id: string;
  readonly name: string;
  /** ISO 8601, UTC; empty where the span is unknown. */
  readonly start_time: string;
  readonly agent: string;
  readonly model: string;
  readonly policy: string;
  readonly step_index: number | null;
  readonly choice: number | null;
  readonly reward: number | null;
  readonly advantage: number | null;
  /** Why it gave no transition; null when no record says so. */
  readonly reason: string | null;
  readonly detail: string;
};

/** All that the tables know of what became of a rollout's calls. */
export type RolloutFacts = {
  /** Its last status; null when no change of it is here. */
  readonly status: string | null;
  readonly assembly: AssemblyFacts | null;
  readonly group: GroupFacts | null;
  /** Members of its group that are assembled, this one included. */
  readonly assembled: number;
  /** By time, then step. */
  readonly calls: readonly CallFacts[];
};

/** Null when neither the rollout nor anything made of it is here. */
export async function rolloutFacts(
  client: ClickHouseClient,
  project: string,
  rolloutId: string,
): Promise<RolloutFacts | null> {
  const of = { project, rolloutId };
  const [rollouts, [assembly = null], calls] = await Promise.all([
    rolloutsById(client, project, [rolloutId]),
    rowsOf<AssemblyFacts>(client, assemblySql, of),
    callsOf(client, of),
  ]);
  const [rollout] = rollouts;
  if (rollout === undefined && assembly === null && calls.length === 0) return null;
  const groupId = assembly?.group_id ?? rollout?.group_id ?? rolloutId;
  const [[group = null], [members]] = await Promise.all([
    rowsOf<GroupFacts>(client, groupSql, { project, groupId }),
    rowsOf<{ readonly assembled: number }>(client, membersSql, { project, groupId }),
  ]);
  const status = rollout?.status ?? assembly?.status ?? null;
  return { status, assembly, group, assembled: members?.assembled ?? 0, calls };
}

const where = "project = {project:String} AND rollout_id = {rolloutId:String}";

const assemblySql = `SELECT group_id, group_size, attempt_id, status, calls, steps, omitted, spans,
    reward, unmatched_rewards, late_rewards, revision
  FROM latest_assemblies WHERE ${where}`;

const groupSql = `SELECT reason, group_size, members, transitions, withheld,
    toUInt8(equal_rewards) AS equal_rewards, credit_strategy, revision
  FROM latest_groups WHERE project = {project:String} AND group_id = {groupId:String}`;

const membersSql = `SELECT uniqExact(rollout_id) AS assembled FROM assemblies
  WHERE project = {project:String} AND group_id = {groupId:String}`;

type Of = { readonly project: string; readonly rolloutId: string };
type Step = Pick<
  CallFacts,
  "span_id" | "agent" | "model" | "policy" | "step_index" | "choice" | "reward"
>;
type Omission = Pick<CallFacts, "span_id" | "agent" | "model" | "reason" | "detail">;
type Seen = Pick<CallFacts, "span_id" | "name" | "start_time">;

async function callsOf(client: ClickHouseClient, of: Of): Promise<CallFacts[]> {
  const [steps, credited, omissions] = await Promise.all([
    rowsOf<Step>(
      client,
      `SELECT span_id, agent, model, policy, step_index, choice, reward
       FROM latest_steps WHERE ${where} ORDER BY step_index`,
      of,
    ),
    rowsOf<{ readonly step_index: number; readonly advantage: number }>(
      client,
      `SELECT step_index, advantage FROM latest_transitions WHERE ${where}`,
      of,
    ),
    rowsOf<Omission>(
      client,
      `SELECT span_id, agent, model, reason, detail FROM latest_omitted_calls
       WHERE ${where} ORDER BY kafka_topic, kafka_offset`,
      of,
    ),
  ]);
  const seen = await spansSeen(client, of, [...steps, ...omissions]);
  const advantages = new Map(credited.map((row) => [row.step_index, row.advantage]));
  return joined(steps, advantages, omissions)
    .map((call) => ({ ...call, ...seen.get(call.span_id) }))
    .sort(byTime);
}

async function spansSeen(
  client: ClickHouseClient,
  of: Of,
  calls: readonly { readonly span_id: string }[],
): Promise<ReadonlyMap<string, Seen>> {
  const ids = new Set(calls.map(({ span_id }) => span_id).filter((id) => id !== ""));
  const rows = await rowsOf<Seen>(
    client,
    `SELECT span_id, name, formatDateTime(start_time, '%FT%T.%fZ', 'UTC') AS start_time
     FROM spans WHERE ${where} AND span_id IN ${literals([...ids])}`,
    of,
    longQuery,
  );
  return new Map(rows.map((row) => [row.span_id, row]));
}

/** A reason that names the span of a step is about that step: what credit assignment left out. */
function joined(
  steps: readonly Step[],
  advantages: ReadonlyMap<number, number>,
  omissions: readonly Omission[],
): CallFacts[] {
  const left = new Set(omissions);
  const calls = steps.map((step): CallFacts => {
    const advantage = advantages.get(step.step_index ?? -1) ?? null;
    const omission =
      advantage === null ? (aboutStep([...left], step) ?? aboutStep(omissions, step)) : undefined;
    if (omission !== undefined) left.delete(omission);
    const { reason = null, detail = "" } = omission ?? {};
    return { ...unseen, ...step, advantage, reason, detail };
  });
  return [...calls, ...[...left].map((omission) => ({ ...unseen, ...omission }))];
}

/** The choices of a call share its span, and its reason where there are fewer reasons. */
function aboutStep(omissions: readonly Omission[], step: Step): Omission | undefined {
  return omissions.find(({ span_id }) => span_id === step.span_id);
}

const unseen: CallFacts = {
  span_id: "",
  name: "",
  start_time: "",
  agent: "",
  model: "",
  policy: "",
  step_index: null,
  choice: null,
  reward: null,
  advantage: null,
  reason: null,
  detail: "",
};

function byTime(a: CallFacts, b: CallFacts): number {
  const [left, right] = [a.start_time, b.start_time];
  if (left !== right) return left < right ? -1 : 1;
  return (a.step_index ?? -1) - (b.step_index ?? -1);
}
