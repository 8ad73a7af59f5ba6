import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { childEnvironment } from "../config.ts";

const run = promisify(execFile);
const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url));
const cache = fileURLToPath(new URL("../../.lightning/cache/", import.meta.url));
const installWithinMs = 600_000;
const oldest = [3, 10] as const;
const candidates = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"];

/** What the package's processes run with: nothing of it asks the network beyond loopback. */
export function pythonEnvironment(): Record<string, string> {
  return {
    ...childEnvironment({}),
    LITELLM_LOCAL_MODEL_COST_MAP: "True",
    OTEL_SDK_DISABLED: "false",
    NO_PROXY: "127.0.0.1,localhost",
    PYTHONUNBUFFERED: "1",
  };
}

/**
 * A Python that has the reference's package, as requirements.txt says: in a virtual environment
 * below .lightning/cache, made anew when that file changes.
 *
 * @throws Error that says what is missing, when there is no Python or no package index.
 */
export async function referencePython(say: (line: string) => void): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const folder = join(cache, `python-${hash}`);
  const python = join(folder, "bin", "python3");
  if (existsSync(python)) return python;
  const own = await newEnoughPython();
  say("Installing the reference's Python packages (once, 430 MB, about a minute) …");
  mkdirSync(cache, { recursive: true });
  removeOld();
  const partial = `${folder}.partial-${process.pid}`;
  try {
    await install(own, partial);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return python;
}

async function newEnoughPython(): Promise<string> {
  const check = `import sys; sys.exit(sys.version_info < (${oldest.join(", ")}))`;
  for (const name of candidates) if (await works(name, ["-c", check])) return name;
  throw new Error(
    `The compatibility suite needs Python ${oldest.join(".")} or newer, which this machine does not have (Debian, Ubuntu: sudo apt-get install python3 python3-venv)`,
  );
}

/** Debian's python3 comes without ensurepip when python3-venv is missing; its own pip serves then. */
async function install(own: string, folder: string): Promise<void> {
  const complete = await works(own, ["-c", "import ensurepip"]);
  const borrowed = complete ? [] : ["--without-pip", "--system-site-packages"];
  try {
    await run(own, ["-m", "venv", ...borrowed, folder]);
    const words = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement", requirements];
    await run(join(folder, "bin", "python3"), words, { timeout: installWithinMs });
  } catch (error) {
    const { stderr, message } = error as Error & { readonly stderr?: string };
    const tail = (stderr || message).trim().split("\n").slice(-8).join("\n");
    throw new Error(
      `pip could not install infra/compat/requirements.txt; it needs PyPI or a mirror of it:\n${tail}`,
    );
  }
}

function removeOld(): void {
  for (const name of readdirSync(cache)) {
    if (/^python-[0-9a-f]{12}$/.test(name)) rmSync(join(cache, name), { recursive: true });
  }
}

function works(command: string, words: readonly string[]): Promise<boolean> {
  return run(command, [...words]).then(
    () => true,
    () => false,
  );
}
