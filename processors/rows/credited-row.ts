import type { Credit, Provenance, TransitionRecorded } from "../../schemas/types.ts";
import type { TokenRow } from "./turn.ts";

/** One LLM call of a row: its tokens are `from` up to, not with, `to` of the response. */
export type CreditedTurn = {
  readonly turn_index: number;
  readonly choice: number;
  readonly span_id: string;
  readonly agent: string;
  readonly from: number;
  readonly to: number;
  readonly policy_version: number | null;
  readonly temperature: number | null;
  readonly top_p: number | null;
  readonly finish_reason: string | null;
  /** Reward matched to the call, null when none, and its named dimensions. */
  readonly reward: number | null;
  readonly rewards: Readonly<Record<string, number>>;
  readonly return_value: number;
  readonly advantage: number;
};

/** So many tokens of the response in a row that one policy version made; null: it made none. */
export type PolicyRun = { readonly version: number | null; readonly tokens: number };

/** A training row with all a trainer or an auditor asks of it. */
export type CreditedRow = Omit<TokenRow, "actions"> & {
  /** Form of the row; grows when a field changes its meaning. */
  readonly row_version: 1;
  readonly project: string;
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly group_id: string;
  readonly group_size: number;
  readonly group_members: number;
  /** Which sample of its task, as the task's metadata say; null when they do not. */
  readonly sample_index: number | null;
  /** Steps the whole rollout has. */
  readonly num_turns: number;
  readonly turns: readonly CreditedTurn[];
  readonly policy: string;
  readonly trace_id: string;
  readonly span_ids: readonly string[];
  /** Runs over the response; tokens the model was shown have no version. */
  readonly policy_versions: readonly PolicyRun[];
  readonly policy_version_min: number | null;
  readonly policy_version_max: number | null;
  /** What all turns were sampled with; null when unknown or when they differ (see `turns`). */
  readonly temperature: number | null;
  readonly top_p: number | null;
  /** Final reward of the rollout; null when none. */
  readonly reward: number | null;
  /** Named dimensions of the last turn that has any. */
  readonly rewards: Readonly<Record<string, number>>;
  /** Of the row's first turn. */
  readonly return_value: number;
  readonly advantage: number;
  /** One per response token, each turn's under that turn's mask; null when all turns have the same. */
  readonly advantages: Float64Array | null;
  /** Sum of its turns' weights: the rows of a rollout weigh what the rollout does. */
  readonly weight: number;
  readonly credit: Credit;
  /** Of the row's last turn. */
  readonly finish_reason: string | null;
  /** True when generation stopped at a length limit or tokens were cut off here. */
  readonly truncated: boolean;
  readonly status: string;
  readonly mode: string | null;
  readonly resources_id: string | null;
  readonly resources_version: number | null;
  /** Log time of the rollout's end, µs. */
  readonly created_at: number;
  readonly revision: number;
  /** Where in the log its calls stand. */
  readonly provenance: Provenance;
};

/** The row with what the transitions of its turns say; `members` are those of the rollout, by turn. */
export function creditedRow(members: readonly TransitionRecorded[], row: TokenRow): CreditedRow {
  const { actions, ...tokens } = row;
  const made = actions.flatMap(({ turn }) => members[turn] ?? []);
  const turns = actions.flatMap(({ turn, from, to }) => {
    const transition = members[turn];
    return transition === undefined ? [] : [turnOf(transition, from, to)];
  });
  const [first, last] = [made[0], made.at(-1)];
  if (first === undefined || last === undefined) throw new RangeError("a row has no turns");
  const versions = made.flatMap(({ policy_version }) => policy_version ?? []);
  return {
    ...tokens,
    ...originOf(first),
    turn_indexes: made.map(({ step_index }) => step_index),
    turns,
    span_ids: made.map(({ span_id }) => span_id),
    policy_versions: runsOf(turns, tokens.response_ids.length),
    policy_version_min: extreme(versions, Math.min),
    policy_version_max: extreme(versions, Math.max),
    temperature: shared(made.map(({ temperature }) => temperature)),
    top_p: shared(made.map(({ top_p }) => top_p)),
    rewards: made.findLast(({ rewards }) => Object.keys(rewards).length > 0)?.rewards ?? {},
    return_value: first.return_value,
    advantage: first.advantage,
    advantages: advantagesOf(turns, tokens.response_mask),
    weight: made.reduce((sum, { weight }) => sum + weight, 0),
    finish_reason: last.finish_reason,
    truncated: tokens.truncated_tokens > 0 || made.some((one) => one.finish_reason === "length"),
    provenance: made.map(({ provenance }) => provenance).reduce(joined),
  };
}

function extreme(values: readonly number[], pick: (a: number, b: number) => number) {
  return values.length === 0 ? null : values.reduce((a, b) => pick(a, b));
}

function joined(a: Provenance, b: Provenance): Provenance {
  const first_offset = Math.min(a.first_offset, b.first_offset);
  return { ...a, first_offset, last_offset: Math.max(a.last_offset, b.last_offset) };
}

/** What is the same for all rows of a rollout. */
function originOf(transition: TransitionRecorded) {
  const { project, rollout_id, attempt_id, group_id, group_size, group_members } = transition;
  const { policy, trace_id, credit, mode, resources_id, resources_version, revision } = transition;
  return {
    row_version: 1 as const,
    project,
    rollout_id,
    attempt_id,
    group_id,
    group_size,
    group_members,
    sample_index: sampleIndexOf(transition.metadata),
    num_turns: transition.step_count,
    policy,
    trace_id,
    reward: transition.rollout_reward,
    credit,
    status: transition.rollout_status,
    mode,
    resources_id,
    resources_version,
    created_at: transition.ended_at,
    revision,
  };
}

function turnOf(transition: TransitionRecorded, from: number, to: number): CreditedTurn {
  const { choice, span_id, agent, policy_version, temperature, top_p, finish_reason } = transition;
  const { reward, rewards, return_value, advantage } = transition;
  return {
    turn_index: transition.step_index,
    choice,
    span_id,
    agent,
    from,
    to,
    policy_version,
    temperature,
    top_p,
    finish_reason,
    reward,
    rewards,
    return_value,
    advantage,
  };
}

function runsOf(turns: readonly CreditedTurn[], length: number): PolicyRun[] {
  const runs: { version: number | null; tokens: number }[] = [];
  const add = (version: number | null, tokens: number): void => {
    const last = runs.at(-1);
    if (tokens === 0) return;
    if (last?.version === version) last.tokens += tokens;
    else runs.push({ version, tokens });
  };
  let end = 0;
  for (const { from, to, policy_version } of turns) {
    add(null, from - end);
    add(policy_version, to - from);
    end = to;
  }
  add(null, length - end);
  return runs;
}

/** An advantage under the wrong turn's mask trains the wrong tokens, or none. */
function advantagesOf(turns: readonly CreditedTurn[], mask: Uint8Array): Float64Array | null {
  if (shared(turns.map(({ advantage }) => advantage)) !== null) return null;
  const advantages = new Float64Array(mask.length);
  for (const { from, to, advantage } of turns) {
    for (let i = from; i < to; i++) if (mask[i] === 1) advantages[i] = advantage;
  }
  return advantages;
}

function shared(values: readonly (number | null)[]): number | null {
  const [first = null, ...others] = values;
  return others.every((value) => value === first) ? first : null;
}

/** Names a task's metadata may have for it; the second is the one of 1.0. */
const sampleNames = ["sample_index", "sample_idx_in_batch", "sample_idx"];

function sampleIndexOf(metadata: string): number | null {
  let read: unknown;
  try {
    read = JSON.parse(metadata);
  } catch {
    return null;
  }
  if (typeof read !== "object" || read === null) return null;
  const found = new Map(Object.entries(read));
  const index = sampleNames.map((name) => found.get(name)).find(Number.isSafeInteger);
  return typeof index === "number" ? index : null;
}
