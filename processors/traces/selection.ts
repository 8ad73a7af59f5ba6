import { RE2JS } from "re2js";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { objectOf, parsed } from "./attributes.ts";
import { remembered } from "./remembered.ts";

/** How rewards find their calls, in a word for people; exactly in match-rewards.ts. */
export const rewardMatchDocs = {
  "first-occurrence": "the call that started last among those done by then and without a reward",
  "first-sibling": "the same among the calls beside the reward in the tree",
  link: "the call its agentlightning.link.* name; without any, the call its OpenTelemetry span links name",
  span: "the call its agentlightning.link.* with key span_id names, else its span links, else its parent",
  turn: "the k-th reward to the k-th call",
  final: "the last reward to the last call",
} as const;

export type RewardMatch = keyof typeof rewardMatchDocs;

export const rewardMatches = Object.keys(rewardMatchDocs) as readonly RewardMatch[];

/** Agents to learn from and the policy (name of a resource) their calls train. */
export type AgentRow = { readonly match: string; readonly policy: string };

/** Which calls of a rollout become steps, for which policy, and how rewards reach them. */
export type Selection = {
  /** Searched in agents' names, the first row that matches counts; empty: every call, policy "". */
  readonly agents: readonly AgentRow[];
  /** Searched in the names of spans that are calls; null: all of them. */
  readonly calls: string | null;
  /** True: calls below a reward, a judge's, count too. */
  readonly judges: boolean;
  /** True: spans are put below the span that encloses them in time, see repair.ts. */
  readonly repair: boolean;
  readonly reward_match: RewardMatch;
  /** Weight per dimension, `primary` being the first one; empty: the primary one alone. */
  readonly reward_weights: Readonly<Record<string, number>>;
};

/** What holds where a selection says nothing. */
export const defaultSelection: Selection = {
  agents: [],
  calls: null,
  judges: false,
  repair: true,
  reward_match: "first-occurrence",
  reward_weights: {},
};

/**
 * A selection from its JSON text, `{}` being the default one.
 *
 * @throws LightningError record-invalid, naming the field, what was read and what is allowed.
 */
export function parseSelection(text: string): Selection {
  const fields = objectOf(parsed(text));
  if (fields === null) throw invalid("selection", text, "a JSON object");
  for (const name of Object.keys(fields)) {
    if (!Object.hasOwn(readers, name)) {
      throw invalid("selection", name, `the fields ${Object.keys(readers).join(", ")}`);
    }
  }
  const { agents, calls, judges, repair, reward_match, reward_weights } = readers;
  return {
    agents: agents(fields.agents),
    calls: calls(fields.calls),
    judges: judges(fields.judges),
    repair: repair(fields.repair),
    reward_match: reward_match(fields.reward_match),
    reward_weights: reward_weights(fields.reward_weights),
  };
}

/**
 * Whether a pattern is found anywhere in a text, as Python's `re.search` says it, in time linear in
 * the text. Answers are kept, since rollouts are many and the names in them few.
 *
 * @throws LightningError record-invalid, naming the field, when the pattern is none.
 */
export function searchFor(pattern: string, field: string): (text: string) => boolean {
  return compile(pattern, field);
}

/**
 * The row that asks for an agent, null being a call outside of every agent: the first whose pattern
 * is found in the name. Null: nobody asks for it. Without rows everybody is asked for.
 */
export function agentRows(agents: readonly AgentRow[]): (name: string | null) => AgentRow | null {
  if (agents.length === 0) return () => everyAgent;
  const rows = agents.map((row, i) => ({
    row,
    matches: searchFor(row.match, `selection.agents.${i}.match`),
  }));
  return (name) =>
    name === null ? null : (rows.find(({ matches }) => matches(name))?.row ?? null);
}

const everyAgent: AgentRow = { match: "", policy: "" };

/** So that a selection, which every rollout carries, stays small and quick to read. */
const maxPattern = 1_000;
const maxAgents = 100;

type Readers = { readonly [Name in keyof Selection]: (value: unknown) => Selection[Name] };

const readers: Readers = {
  agents: (value) => {
    if (value === undefined) return defaultSelection.agents;
    if (!Array.isArray(value) || value.length > maxAgents) {
      throw invalid("selection.agents", value, `a list of at most ${maxAgents} {match, policy}`);
    }
    return value.map(agentRow);
  },
  calls: (value) => {
    if (value === undefined || value === null) return null;
    return pattern(value, "selection.calls");
  },
  judges: (value) => flag(value, "judges"),
  repair: (value) => flag(value, "repair"),
  reward_match: (value) => {
    if (value === undefined) return defaultSelection.reward_match;
    const match = rewardMatches.find((name) => name === value);
    if (match === undefined) {
      throw invalid("selection.reward_match", value, `one of ${rewardMatches.join(", ")}`);
    }
    return match;
  },
  reward_weights: (value) => {
    if (value === undefined) return defaultSelection.reward_weights;
    const weights = objectOf(value);
    const field = "selection.reward_weights";
    if (weights === null) throw invalid(field, value, "an object of numbers");
    return Object.fromEntries(
      Object.entries(weights).map(([name, weight]) => {
        if (typeof weight === "number" && Number.isFinite(weight)) return [name, weight];
        throw invalid(`${field}.${name}`, weight, "a finite number");
      }),
    );
  },
};

function agentRow(value: unknown, i: number): AgentRow {
  const field = `selection.agents.${i}`;
  const row = objectOf(value);
  if (row === null) throw invalid(field, value, "an object {match, policy}");
  for (const name of Object.keys(row)) {
    if (name !== "match" && name !== "policy") throw invalid(field, name, "match and policy");
  }
  const policy = row.policy ?? "";
  if (typeof policy !== "string")
    throw invalid(`${field}.policy`, policy, "the name of a resource");
  return { match: pattern(row.match, `${field}.match`), policy };
}

function pattern(value: unknown, field: string): string {
  if (typeof value !== "string" || value.length > maxPattern) {
    throw invalid(field, value, `a regular expression of at most ${maxPattern} characters`);
  }
  compile(value, field);
  return value;
}

type Search = (text: string) => boolean;

/** Patterns compiled before; every rollout of a project brings the same ones. */
const compiled = new Map<string, Search>();
const mostCompiled = 1_000;

/** Answers kept of each pattern. */
const mostAnswers = 256;

function compile(text: string, field: string): Search {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  try {
    const expression = RE2JS.compile(text);
    const made = remembered((name) => expression.matcher(name).find(), mostAnswers);
    if (compiled.size >= mostCompiled) compiled.clear();
    compiled.set(text, made);
    return made;
  } catch (cause) {
    throw invalid(field, text, `a regular expression of RE2 (${messageOf(cause)})`, cause);
  }
}

function flag(value: unknown, name: "judges" | "repair"): boolean {
  if (value === undefined) return defaultSelection[name];
  if (typeof value !== "boolean") throw invalid(`selection.${name}`, value, "true or false");
  return value;
}

function invalid(field: string, read: unknown, allowed: string, cause?: unknown): LightningError {
  const said = typeof read === "string" ? read : (JSON.stringify(read) ?? "nothing");
  const message = `${field}: read ${said.slice(0, 200)}, must be ${allowed}`;
  return new LightningError("record-invalid", message, { field, cause });
}
