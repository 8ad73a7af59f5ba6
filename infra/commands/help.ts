import { strategies } from "../../processors/credit/registry.ts";
import { type Strategy, sharedOptions } from "../../processors/credit/strategy.ts";
import { defaultSelection, rewardMatchDocs } from "../../processors/traces/selection.ts";
import { LightningError } from "../../schemas/errors.ts";
import { variables } from "../config.ts";
import { type Role, type RoleName, roleNames, roles } from "../roles.ts";
import { commands } from "./commands.ts";

/** What `lightning --help` and `lightning help <topic>` print. Throws `request-invalid`. */
export function helpText(topic?: string): string {
  if (topic === undefined || topic.startsWith("-")) return overview();
  if (topic === "settings") return settingsHelp();
  if (topic === "roles") return rolesHelp();
  if (topic === "credit") return creditHelp();
  const command = Object.entries(commands).find(([name]) => name === topic)?.[1];
  if (command !== undefined) return `${command.doc}\n\n${command.usage}`;
  const role = roleNames.find((name) => name === topic);
  if (role !== undefined) return roleHelp(role);
  const known = ["settings", "roles", "credit", ...Object.keys(commands), ...roleNames].join(", ");
  throw new LightningError(
    "request-invalid",
    `there is no help on ${JSON.stringify(topic)}; there is on ${known}`,
  );
}

function overview(): string {
  return `Lightning Stream turns what agents do into training data: their spans become a Kafka log, the log
becomes credit-assigned transitions and SQL tables, trainers lease them, and agents get better.

  lightning up                        everything on this machine, with a demo that learns
  lightning sql "SELECT * FROM spans" ask ClickHouse, where everything ends up
  lightning doctor                    what is reachable, and what to do about the rest

Commands
${columns(Object.entries(commands).map(([name, { doc }]) => [name, doc]))}
  help [TOPIC]       on a command, a role, roles, settings, credit

Roles: lightning <role> [<role> …] starts them here, any number of times, on any machine
${columns(roleNames.map((name) => [name, roles[name].doc]))}

Settings are environment variables: lightning help settings
Commands talk to the \`lightning up\` of .lightning/data, or of --data DIR, or to what KAFKA_BROKERS,
CLICKHOUSE_URL, SCHEMA_REGISTRY_URL, LIGHTNING_URL and LIGHTNING_TRAINER_URL say.
Exit status: 0 done, 1 failed, 2 called wrongly.`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  return rows.map(([name, doc]) => `  ${name.padEnd(17)}  ${doc}`).join("\n");
}

function rolesHelp(): string {
  return `lightning <role> [<role> …] [--port N] [--trainer-port N]

${columns(roleNames.map((name) => [name, roles[name].doc]))}

Roles named together share a process. A second instance of a role takes over a share of the
partitions, and all of them when the first is gone. There are as many useful instances as partitions:
LIGHTNING_PARTITIONS, for the trainer LIGHTNING_TRAINER_PARTITIONS; of gateways any number.

  lightning track-rollouts assemble-rollouts assign-credit clickhouse
  lightning gateway --port 0`;
}

function roleHelp(name: RoleName): string {
  const role: Role = roles[name];
  const option = name === "trainer" ? "--trainer-port" : "--port";
  const port =
    role.port === undefined
      ? ""
      : `\n\n  ${option} N    where it listens (${role.port}); 0 takes a free port, which is printed`;
  return `${role.doc}\n\nlightning ${name}${role.port === undefined ? "" : ` [${option} N]`}${port}`;
}

function settingsHelp(): string {
  type Shown = { doc: string; fallback: string; allowed: string; secret?: boolean };
  const all = Object.entries(variables) as [string, Shown][];
  const width = all.reduce((most, [name]) => Math.max(most, name.length), 0);
  const lines = all.map(([name, { doc, fallback, allowed, secret }]) => {
    const given = fallback === "" ? "empty" : fallback;
    const kept = secret === true ? "; never printed" : "";
    return `${name.padEnd(width)}  ${doc}\n${" ".repeat(width)}    ${allowed}; default ${given}${kept}`;
  });
  return `Settings are environment variables, read once at the start.\n\n${lines.join("\n")}`;
}

function creditHelp(): string {
  const shown = strategies.map(({ name, doc, parameters, options }) =>
    [`${name}: ${doc}`, ...choicesOf({ parameters, options })].join("\n"),
  );
  const shared = choicesOf({ parameters: {}, options: sharedOptions });
  return `How rewards become returns and advantages. A project chooses with
PUT /api/v1/settings {"credit": {"strategy": NAME, "parameters": {…}, "options": {…}}}, a task with the
same member when it is enqueued.

${shown.join("\n\n")}

Options of every strategy:
${shared.join("\n")}

Before that each reward finds its call, by {"selection": {"reward_match": NAME}} (${defaultSelection.reward_match}):
${columns(Object.entries(rewardMatchDocs))}
A span link (trace and span id) to what is no call of the attempt counts for nothing. Of several calls
named the last one gets the reward, all choices of it unless lightning.choice, as the key of an
agentlightning.link.* or an attribute of the span link, names one.`;
}

function choicesOf({ parameters, options }: Pick<Strategy, "parameters" | "options">): string[] {
  const numbers = Object.entries(parameters).map(
    ([name, { doc, min, max, default: given }]) => `  ${name} (${min} to ${max}; ${given})  ${doc}`,
  );
  const words = Object.entries(options).map(
    ([name, { doc, allowed, default: given }]) =>
      `  ${name} (${allowed?.join(", ") ?? "text"}; ${given === "" ? "empty" : given})  ${doc}`,
  );
  return [...numbers, ...words];
}
