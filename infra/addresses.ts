import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LightningError, messageOf } from "../schemas/errors.ts";
import {
  childEnvironment,
  readConfig,
  type Values,
  type VariableName,
  variables,
} from "./config.ts";
import { findProcess, isRunning, type ProcessId } from "./embedded/owner.ts";

/** Where `lightning up` keeps its data unless told otherwise; relative to the working directory. */
export const defaultDataDir = ".lightning/data";

/** What a running `lightning up` tells those who come later: how to reach its parts. */
export type AddressSettings = Readonly<Partial<Record<VariableName, string>>>;

export type KnownAddresses = {
  readonly settings: AddressSettings;
  readonly pid: number;
  /** Whether the process that wrote them still runs; otherwise nobody vouches for them. */
  readonly running: boolean;
};

type Stored = { readonly settings: AddressSettings } & ProcessId;

function fileOf(dataDir: string): string {
  return join(dataDir, "addresses.json");
}

/**
 * Writes `<dataDir>/addresses.json` in this process's name. Secrets are left out; the file is for
 * its owner alone, because an address may carry a password.
 *
 * @throws LightningError `data-folder-locked` when another running process has written it.
 */
export function writeAddresses(dataDir: string, settings: AddressSettings): void {
  const known = readAddresses(dataDir);
  if (known?.running === true && known.pid !== process.pid) {
    throw new LightningError(
      "data-folder-locked",
      `the data in ${dataDir} is in use by process ${known.pid}: stop that one, or choose another data folder with --data`,
      { path: fileOf(dataDir), pid: known.pid },
    );
  }
  mkdirSync(dataDir, { recursive: true });
  const self = findProcess(process.pid) ?? { pid: process.pid, started: "" };
  const stored: Stored = { settings: withoutSecrets(settings), ...self };
  const partial = `${fileOf(dataDir)}.${process.pid}`;
  writeFileSync(partial, `${JSON.stringify(stored, undefined, 2)}\n`, { mode: 0o600 });
  // A reader sees the old file or the new one, never half of one.
  renameSync(partial, fileOf(dataDir));
}

/** Removes the addresses this process wrote; another's stay. */
export function removeAddresses(dataDir: string): void {
  if (readAddresses(dataDir)?.pid === process.pid) rmSync(fileOf(dataDir), { force: true });
}

/**
 * The addresses of the `lightning up` of a data folder; undefined when there never was one.
 *
 * @throws LightningError `config-invalid` when the file is damaged.
 */
export function readAddresses(dataDir: string): KnownAddresses | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(dataDir), "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? ""))
      return undefined;
    throw unreadable(dataDir, error);
  }
  try {
    const { settings, pid, started } = JSON.parse(text) as Stored;
    if (typeof settings !== "object" || settings === null || !Number.isInteger(pid))
      throw new Error("it has no settings or no pid");
    return { settings: withoutSecrets(settings), pid, running: isRunning({ pid, started }) };
  } catch (error) {
    throw unreadable(dataDir, error);
  }
}

function unreadable(dataDir: string, cause: unknown): LightningError {
  return new LightningError(
    "config-invalid",
    `${fileOf(dataDir)} cannot be read (${messageOf(cause)}): remove it and start \`lightning up\` again`,
    { cause },
  );
}

function withoutSecrets(settings: AddressSettings): AddressSettings {
  const known = Object.entries(variables) as [VariableName, { readonly secret?: boolean }][];
  const open = known.filter(([, { secret }]) => secret !== true).map(([name]) => name);
  return Object.fromEntries(
    open.flatMap((name) => {
      const value = settings[name];
      return typeof value === "string" && value !== "" ? [[name, value]] : [];
    }),
  );
}

/**
 * The configuration of a command: the environment first, then the addresses of the running
 * `lightning up` of the data folder.
 *
 * @param needs variables that must not be empty.
 * @throws LightningError `config-invalid` naming the variable and the ways to set it.
 */
export function configWithAddresses(
  dataDir: string,
  needs: readonly VariableName[] = ["KAFKA_BROKERS"],
): Values {
  return mergeConfig(dataDir, needs, childEnvironment({}), readAddresses(dataDir));
}

/** {@link configWithAddresses} with everything it looks at as arguments. */
export function mergeConfig(
  dataDir: string,
  needs: readonly VariableName[],
  environment: Readonly<Record<string, string>>,
  known: KnownAddresses | undefined,
): Values {
  // An empty variable means the same as none: the embedded part.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const values = readConfig({ ...(known?.running === true ? known.settings : {}), ...given });
  const missing = needs.find((name) => values[name] === "");
  if (missing === undefined) return values;
  throw new LightningError(
    "config-invalid",
    `${missing} is not set and ${whyUnknown(dataDir, missing, known)}: start \`lightning up\`, name its data folder with --data, or set ${missing}`,
    { variable: missing },
  );
}

function whyUnknown(
  dataDir: string,
  name: VariableName,
  known: KnownAddresses | undefined,
): string {
  if (known === undefined) return `no \`lightning up\` runs with the data folder ${dataDir}`;
  if (!known.running) return `the \`lightning up\` of ${dataDir} (process ${known.pid}) has ended`;
  return `the \`lightning up\` of ${dataDir} (process ${known.pid}) does not say ${name}`;
}
