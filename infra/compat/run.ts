/**
 * Runs the suite of this folder: the unmodified Python package of the reference, against our gateway
 * on a real broker and a real database.
 *
 * `--reference` runs it against the package's own server, which shows that it tests the contract and
 * not us; `--server URL` against one that runs; `--counts N` writes "passed failed" to that file
 * descriptor for infra/test.js. What follows `--` goes to pytest (`-- -k name`).
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort, type RoleProcess, startRoleProcess, startStack } from "../e2e/stack.ts";
import { pythonEnvironment, referencePython } from "./reference-python.ts";
import { startReference } from "./reference-server.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const suiteWithinMs = 300_000;
const readyWithinMs = 90_000;

type Server = { readonly urls: readonly string[]; stop(): Promise<void> };

/** Two gateways, as equals: what one has acknowledged, the other one has to know. */
async function startOurs(): Promise<Server> {
  const stack = await startStack();
  const started: RoleProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((one) => one.stop()));
    await stack.close();
  };
  try {
    const urls: string[] = [];
    // One after the other: the first one makes the tables.
    for (const roles of [["gateway", "track-rollouts", "clickhouse"], ["gateway"]] as const) {
      const port = await freePort();
      const one = startRoleProcess(stack, roles, { args: ["--port", String(port)] });
      started.push(one);
      await within(readyWithinMs, one.ready(), `${roles.join(", ")} did not get ready`);
      urls.push(`http://127.0.0.1:${port}`);
    }
    return { urls, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A process that keeps dying is started again and again, so that somebody has to give up. */
async function within<T>(ms: number, work: Promise<T>, message: string): Promise<T> {
  const stop = new AbortController();
  const late = sleep(ms, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${message} within ${ms} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
    late.catch(() => undefined);
  }
}

async function startTheirs(python: string): Promise<Server> {
  const { url, stop } = await startReference(python, "suite");
  return { urls: [url], stop };
}

type Counts = { readonly passed: number; readonly failed: number };

async function runSuite(python: string, words: readonly string[]): Promise<Counts> {
  // AgentOps leaves a log file where it runs.
  const cwd = mkdtempSync(join(tmpdir(), "lightning-compat-"));
  try {
    return await pytest(python, words, cwd);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

function pytest(python: string, words: readonly string[], cwd: string): Promise<Counts> {
  const flags = ["-m", "pytest", "-p", "no:cacheprovider", "--quiet", "--tb=short"];
  const child = spawn(python, [...flags, `--rootdir=${folder}`, ...words, folder], {
    cwd,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: { ...pythonEnvironment(), LIGHTNING_TEST_COUNTS: "3", PYTHONDONTWRITEBYTECODE: "1" },
    timeout: suiteWithinMs,
  });
  let counted = "";
  child.stdio[3]?.on("data", (chunk: Buffer) => {
    counted += chunk.toString("utf8");
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      const [passed = 0, failed = 0] = counted.trim().split(" ").map(Number);
      // One that died without counting failed, too.
      resolve({ passed, failed: failed === 0 && code !== 0 ? 1 : failed });
    });
  });
}

async function main(words: Words): Promise<Counts> {
  const python = await referencePython((line) => process.stderr.write(`${line}\n`));
  const start = words.reference ? () => startTheirs(python) : startOurs;
  const server = words.server === undefined ? await start() : undefined;
  try {
    const urls = server?.urls ?? [words.server ?? ""];
    const where = urls.flatMap((url) => ["--server", url]);
    const whose = words.reference ? ["--reference"] : [];
    return await runSuite(python, [...where, ...whose, ...words.pytest]);
  } finally {
    await server?.stop();
  }
}

type Words = {
  readonly reference: boolean;
  readonly server: string | undefined;
  readonly counts: string | undefined;
  readonly pytest: readonly string[];
};

function words(): Words {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      reference: { type: "boolean", default: false },
      server: { type: "string" },
      counts: { type: "string" },
    },
  });
  const { reference, server, counts } = values;
  return { reference, server, counts, pytest: positionals };
}

const asked = words();
const { passed, failed } = await main(asked).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  return { passed: 0, failed: 1 };
});
if (asked.counts !== undefined) writeSync(Number(asked.counts), `${passed} ${failed}\n`);
else process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
