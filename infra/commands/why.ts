import { parseArgs } from "node:util";
import { LightningError } from "../../schemas/errors.ts";
import { isFinished } from "../../schemas/statuses.ts";
import {
  type CallFacts,
  type RolloutFacts,
  rolloutFacts,
} from "../../sinks/clickhouse/queries-why.ts";
import { configWithAddresses, defaultDataDir } from "../addresses.ts";
import { clickHouseOf } from "../roles.ts";
import { type Command, dataOption, dataUsage, print, wrongUse } from "./command.ts";
import { formatTable, printable } from "./table.ts";

/** `lightning why`. */
export const whyCommand: Command = {
  doc: "what became of each LLM call of a rollout: a transition, or why not",
  usage: `lightning why ROLLOUT [--project P] [--format table|json] [--data DIR]

  ROLLOUT            id of the rollout
  --project P        (LIGHTNING_PROJECT)
  --format FORMAT    table, or json: one object with the verdict, the facts and the calls
${dataUsage}

One line per call: transition (with its reward and advantage), step (it waits for its group), or the
reason why there is none, in words. The question why-no-transition counts the reasons of a project.`,
  run,
};

async function run(args: readonly string[]): Promise<void> {
  const { values: options, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...dataOption, project: { type: "string" }, format: { type: "string" } },
  });
  const [rolloutId] = positionals;
  if (rolloutId === undefined || positionals.length > 1) {
    throw wrongUse("why", `read ${positionals.length} rollouts, one is allowed`);
  }
  const format = options.format ?? "table";
  if (format !== "table" && format !== "json") {
    throw wrongUse("why", `--format is ${JSON.stringify(format)}, allowed are table, json`);
  }
  const values = configWithAddresses(options.data ?? defaultDataDir, ["CLICKHOUSE_URL"]);
  const project = options.project ?? values.LIGHTNING_PROJECT;
  const client = clickHouseOf(values);
  try {
    const facts = await rolloutFacts(client, project, rolloutId);
    if (facts === null) throw unknown(project, rolloutId);
    print(format === "json" ? jsonOf(rolloutId, facts) : pageOf(rolloutId, facts));
  } finally {
    await client.close();
  }
}

function unknown(project: string, rolloutId: string): LightningError {
  return new LightningError(
    "not-found",
    `ClickHouse knows no rollout ${JSON.stringify(rolloutId)} in project ${project}; --project names another, lightning lag clickhouse says what it has not read yet`,
  );
}

/** What became of a call, in one word: `transition`, `step`, or the reason. */
export function outcomeOf(call: CallFacts): string {
  if (call.advantage !== null) return "transition";
  return call.reason ?? "step";
}

/** Where the rollout stands, in one sentence, and what it waits for when it waits. */
export function verdictOf(rolloutId: string, facts: RolloutFacts): string {
  const { status, assembly, group, assembled, calls } = facts;
  if (assembly === null) {
    return isFinished(status ?? "")
      ? `it ended (${status}) and is not assembled yet: lightning lag assemble-rollouts`
      : `it has not ended yet (${status ?? "unknown"}): steps are made at its end`;
  }
  const made = calls.filter((call) => call.advantage !== null).length;
  const counts = `${assembly.calls} calls among ${assembly.spans} spans, ${assembly.steps} steps, ${made} transitions`;
  if (assembly.calls === 0) return `${counts}: no span was recognised as an LLM call`;
  if (made === assembly.steps && made > 0) return counts;
  if (assembly.steps === 0) return `${counts}: no call is left, for the reasons below`;
  if (group === null) {
    return `${counts}: its group has ${assembled} of ${assembly.group_size} members and is not closed; it closes when all have ended, or at its deadline`;
  }
  if (!group.members.includes(rolloutId)) {
    return `${counts}: its group was closed (${group.reason}) without it`;
  }
  return group.withheld > 0
    ? `${counts}: its group is closed (${group.reason}) and ${group.withheld} transitions of it are withheld`
    : `${counts}: its group is closed (${group.reason}), ${group.credit_strategy} left some out`;
}

function jsonOf(rolloutId: string, facts: RolloutFacts): string {
  const calls = facts.calls.map((call) => ({ ...call, outcome: outcomeOf(call) }));
  const verdict = verdictOf(rolloutId, facts);
  return JSON.stringify({ rollout_id: rolloutId, verdict, ...facts, calls }, undefined, 2);
}

const headings = [
  "call",
  "span",
  "agent",
  "policy",
  "step",
  "reward",
  "advantage",
  "outcome",
  "why",
];

/** The verdict and a table of the calls. */
export function pageOf(rolloutId: string, facts: RolloutFacts): string {
  const head = `${printable(rolloutId)}: ${printable(verdictOf(rolloutId, facts))}`;
  if (facts.calls.length === 0) return head;
  const rows = facts.calls.map((call) => [
    call.span_id === "" ? "(the rollout)" : call.name,
    call.span_id,
    call.agent,
    call.policy,
    call.step_index,
    call.reward,
    call.advantage,
    outcomeOf(call),
    call.detail,
  ]);
  return `${head}\n\n${formatTable(headings, rows, { maxWidth: 60 })}`;
}
