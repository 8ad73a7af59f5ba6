import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { childEnvironment } from "../config.ts";
import { standBack } from "../process-priority.ts";

const launcher = fileURLToPath(new URL("../lightning.js", import.meta.url));
const withinMs = 60_000;

let dataDir: string;
let up: ChildProcess;
let said = "";

beforeEach(() => {
  said = "";
  dataDir = mkdtempSync(join(tmpdir(), "lightning-up-"));
  const args = ["up", "--port", "0", "--data", dataDir, "--rounds", "3", "--exit"];
  up = spawn(process.execPath, [launcher, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: childEnvironment({ LIGHTNING_LOG_LEVEL: "error" }),
  });
  up.stdout?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
});

afterEach(async () => {
  if (up.exitCode === null) {
    up.kill("SIGTERM");
    await once(up, "exit");
  }
  rmSync(dataDir, { recursive: true, force: true });
});

/** A process that `up` started, by a word of its command line or the file it runs. */
function childWith(word: string): number | undefined {
  const children = readFileSync(`/proc/${up.pid}/task/${up.pid}/children`, "utf8");
  return children
    .split(" ")
    .filter(
      (pid) => pid !== "" && commandOf(pid).some((one) => one === word || one.endsWith(`/${word}`)),
    )
    .map(Number)[0];
}

function commandOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

async function eventually<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const deadline = Date.now() + withinMs; Date.now() < deadline; await sleep(50)) {
    const found = look();
    if (found !== undefined) return found;
    assert.equal(up.exitCode, null, `lightning up ended: ${said}`);
  }
  throw new Error(`${what}: not within ${withinMs / 1000} s; it said ${said}`);
}

/** A process is there a moment before whoever started it has said how far it stands back. */
async function standsBack(pid: number): Promise<void> {
  await eventually(`nice ${standBack} of ${pid}`, () =>
    getPriority(pid) === standBack ? true : undefined,
  );
}

describe("lightning up", () => {
  test("starts everything, trains, counts nothing lost, and brings back folds killed with -9", async () => {
    const folds = await eventually("the folds", () => childWith("assemble-rollouts"));
    const doors = await eventually("the doors", () => childWith("gateway"));
    const clickhouse = await eventually("ClickHouse", () => childWith("clickhouse-main.ts"));
    for (const pid of [folds, clickhouse]) await standsBack(pid);
    assert.equal(getPriority(doors), 0);
    await eventually("the training", () => (/Room booking/.test(said) ? true : undefined));
    process.kill(folds, "SIGKILL");
    const again = await eventually("the folds started again", () => {
      const pid = childWith("assemble-rollouts");
      return pid === folds ? undefined : pid;
    });
    await standsBack(again);
    const [code] = up.exitCode === null ? await once(up, "exit") : [up.exitCode];
    assert.equal(code, 0, said);
    const counted = JSON.parse(said.trimEnd().split("\n").at(-1) ?? "");
    assert.equal(counted.lost, 0);
    assert.equal(counted.duplicated, 0);
    assert.ok(counted.trained > 0, said);
  });

  test("stops when it is asked to in the middle of the training, with rollouts in the queue", async () => {
    await eventually("the training", () => (/ 0 {2}.*\d\.\d{3}/.test(said) ? true : undefined));
    up.kill("SIGTERM");
    const stopped = once(up, "exit").then(([code]) => code);
    const late = sleep(withinMs, "still running", { ref: false });
    assert.equal(await Promise.race([stopped, late]), 0, said);
  });
});
