import { parseArgs } from "node:util";
import { configWithAddresses, defaultDataDir, readAddresses } from "../addresses.ts";
import { processConfig, type Values, type VariableName, variables } from "../config.ts";
import { type Command, dataOption, dataUsage, print, remark } from "./command.ts";
import { checkClickHouse } from "./doctor/clickhouse.ts";
import { type Finding, lineOf, withoutSecrets } from "./doctor/finding.ts";
import { checkKafka } from "./doctor/kafka.ts";
import { checkAddresses, checkJava, checkNode } from "./doctor/machine.ts";
import { checkDoors, checkRegistry } from "./doctor/services.ts";

/** `lightning doctor`. */
export const doctorCommand: Command = {
  doc: "what is reachable, at which version, and what to do about the rest",
  usage: `lightning doctor [--json] [--data DIR]

  --json           one JSON array of {level, what, advice}
${dataUsage}

A line for each thing: ok, warn (it works, but) or fail (something needs it). Ends with status 1 when
something failed. Changes nothing; passwords and keys are never printed.`,
  run,
};

async function run(args: readonly string[]): Promise<void> {
  const { values: options } = parseArgs({
    args: [...args],
    options: { ...dataOption, json: { type: "boolean" } },
  });
  const dataDir = options.data ?? defaultDataDir;
  const values = configWithAddresses(dataDir, []);
  // What the environment itself says, before the addresses of a running `lightning up`.
  const embedded = processConfig().KAFKA_BROKERS === "";
  const checks = [
    [checkNode(process.versions.node)],
    checkJava(embedded).then((finding) => [finding]),
    [checkAddresses(dataDir, readAddresses(dataDir))],
    checkKafka(values),
    checkRegistry(values),
    checkClickHouse(values),
    checkDoors(values),
  ];
  const findings = (await Promise.all(checks)).flat().map((finding) => clean(finding, values));
  if (findings.some(({ level }) => level === "fail")) process.exitCode = 1;
  if (options.json === true) return print(JSON.stringify(findings, undefined, 2));
  print(findings.map(lineOf).join("\n"));
  remark(`\n${summaryOf(findings)}`);
}

/** Whoever is asked may repeat a secret in its answer. */
function clean(finding: Finding, values: Values): Finding {
  const secrets = secretsOf(values);
  const { level, what, advice } = finding;
  return {
    level,
    what: withoutSecrets(what, secrets),
    ...(advice === undefined ? {} : { advice: withoutSecrets(advice, secrets) }),
  };
}

function secretsOf(values: Values): string[] {
  const all = Object.entries(variables) as [VariableName, { readonly secret?: boolean }][];
  return all.filter(([, { secret }]) => secret === true).map(([name]) => String(values[name]));
}

/** The last line: how it stands. */
export function summaryOf(findings: readonly Finding[]): string {
  const count = (level: Finding["level"]): number =>
    findings.filter((finding) => finding.level === level).length;
  if (count("fail") > 0) return `${count("fail")} failed, ${count("warn")} to look at`;
  return count("warn") > 0 ? `works; ${count("warn")} to look at` : "all is well";
}
