import { parseArgs } from "node:util";
import { codeOf, LightningError } from "../schemas/errors.ts";
import { configWithAddresses, defaultDataDir } from "./addresses.ts";
import { portNumber } from "./commands/command.ts";
import { commands } from "./commands/commands.ts";
import { helpText } from "./commands/help.ts";
import { type RoleName, roleNames, roles } from "./roles.ts";
import { runRolesUntilStopped } from "./run-roles.ts";

/** Exit codes: what went wrong, for scripts. */
const exitCodes = { usage: 2, failed: 1 } as const;

/** The command line: `lightning <command or roles…> [options]`. */
export async function main(args: readonly string[]): Promise<void> {
  const [first] = args;
  try {
    if (first === undefined || first === "--help" || first === "-h" || first === "help") {
      process.stdout.write(`${helpText(args[1])}\n`);
      return;
    }
    const command = Object.entries(commands).find(([name]) => name === first)?.[1];
    if (command !== undefined) await command.run(args.slice(1));
    else await startNamedRoles(args);
    // A running server, pool or timer of a library must not keep a finished command alive.
    process.exit(process.exitCode ?? 0);
  } catch (error) {
    if (!(error instanceof LightningError) && !isUsageError(error)) throw error;
    process.stderr.write(`lightning: ${error.message}\n`);
    const isUsage = isUsageError(error) || codeOf(error) === "request-invalid";
    process.exit(isUsage ? exitCodes.usage : exitCodes.failed);
  }
}

function isUsageError(error: unknown): error is Error {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return error instanceof Error && code.startsWith("ERR_PARSE_ARGS");
}

function isRole(name: string): name is RoleName {
  return name in roles;
}

async function startNamedRoles(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      port: { type: "string" },
      "trainer-port": { type: "string" },
      data: { type: "string", default: defaultDataDir },
    },
  });
  const unknown = positionals.find((name) => !isRole(name));
  if (unknown !== undefined) {
    throw new LightningError(
      "config-invalid",
      `${JSON.stringify(unknown)} is neither a command (${Object.keys(commands).join(", ")}) nor a role (${roleNames.join(", ")}); lightning --help says more`,
    );
  }
  const names = positionals.filter(isRole);
  const ports = {
    ...(values.port === undefined ? {} : { gateway: portNumber("roles", values.port) }),
    ...(values["trainer-port"] === undefined
      ? {}
      : { trainer: portNumber("roles", values["trainer-port"], "--trainer-port") }),
  };
  await runRolesUntilStopped(configWithAddresses(values.data), names, ports, (line) =>
    process.stdout.write(`${line}\n`),
  );
}
