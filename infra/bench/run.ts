/** `npm run bench -- [name…] [--quick] [--profile DIR]`: measures, prints, writes RESULTS.md. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setUp } from "../setup.js";
import { adaptersBench } from "./adapters.ts";
import { amount, type Bench } from "./bench.ts";
import { clients } from "./clients.ts";
import { backlog, exactlyOnce } from "./folding.ts";
import { history } from "./history.ts";
import { idle } from "./idle.ts";
import { ingest } from "./ingest.ts";
import { latency } from "./latency.ts";
import { pipeline } from "./pipeline.ts";
import { priority } from "./priority.ts";
import { machineLoad } from "./processes.ts";
import { describeProfiles } from "./profile.ts";
import { markdownOf, replaceSections, type Section } from "./report.ts";
import { startStack } from "./stack.ts";
import { store } from "./store.ts";

const benches: readonly Bench[] = [
  ingest,
  pipeline,
  backlog,
  latency,
  exactlyOnce,
  store,
  priority,
  history,
  adaptersBench,
  clients,
  idle,
];
const names = benches.map(({ name }) => name);
const resultsFile = fileURLToPath(new URL("RESULTS.md", import.meta.url));

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function tool(command: string, ...args: readonly string[]): string {
  const { stdout } = spawnSync(command, args, { encoding: "utf8" });
  return stdout?.trim() ?? "";
}

/**
 * CPU-ms that hashing 64 MiB takes: a shared machine is not always the same machine, and sections
 * whose figure differs can only be compared by their ratios.
 */
function speed(): number {
  const block = Buffer.alloc(1024 * 1024, "lightning");
  const before = process.cpuUsage();
  const hash = createHash("md5");
  for (let i = 0; i < 64; i++) hash.update(block);
  hash.digest();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function facts(command: string, busy: number, speeds: readonly number[]): string[] {
  const all = cpus();
  const changed = tool("git", "status", "--porcelain", "--untracked-files=no") !== "";
  const gib = Math.round(totalmem() / 2 ** 30);
  const java = spawnSync("java", ["-version"], { encoding: "utf8" }).stderr?.split("\n")[0];
  return [
    `machine: ${all.length} cores of ${all[0]?.model ?? "?"}, ${gib} GiB, Linux ${tool("uname", "-r")}; Node ${process.version}, ${java ?? "no java"}`,
    `date: ${new Date().toISOString().slice(0, 16)}Z; commit: ${tool("git", "rev-parse", "--short", "HEAD")}${changed ? " with changes" : ""}`,
    `command: \`${command}\``,
    `speed: hashing 64 MiB (MD5) took ${speeds.map((ms) => amount(ms)).join(" CPU-ms before and ")} after`,
    `all cores were ${amount(busy * 100)} % busy on average over the bench, whoever used them; load average at its end: ${amount(loadavg()[0] ?? 0, 1)}`,
  ];
}

async function runBench(
  bench: Bench,
  quick: boolean,
  profile: string | undefined,
): Promise<Section> {
  say(`\n${bench.name}: ${bench.doc}`);
  const before = speed();
  const busy = machineLoad();
  const options = profile === undefined ? {} : { profileDir: profile };
  const context = { quick, say, stack: () => startStack(options) };
  const tables = await bench.run(context);
  const words = ["npm run bench --", bench.name, ...(quick ? ["--quick"] : [])];
  return { name: bench.name, facts: facts(words.join(" "), busy(), [before, speed()]), tables };
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { quick: { type: "boolean" }, profile: { type: "string" } },
  });
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    say(`${JSON.stringify(unknown)} is no bench; there are ${names.join(", ")}`);
    process.exitCode = 2;
    return;
  }
  setUp();
  const profile = values.profile === undefined ? undefined : resolve(values.profile);
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  for (const bench of benches) {
    if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
    const section = await runBench(bench, values.quick === true, profile);
    process.stdout.write(`\n${markdownOf(section)}\n`);
    const before = existsSync(resultsFile) ? readFileSync(resultsFile, "utf8") : "";
    writeFileSync(resultsFile, replaceSections(before, [section], names));
  }
  if (profile !== undefined) process.stdout.write(`\n${describeProfiles(profile)}\n`);
}

await main(process.argv.slice(2));
// Clients of the stacks that are gone may still hold sockets.
process.exit();
