/**
 * `npm test`: sets the clone up, runs ring 1 (unit), ring 2 (e2e, against the real broker and
 * database) and the compatibility suite (the reference's own Python package against our gateway),
 * and ends with a plain line `N passed, N failed`. Arguments: `unit`, `e2e`, `compat`, or file
 * names; nothing runs all of them.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const folders = ["schemas", "processors", "producers", "sinks", "infra"];

try {
  setUp({ kafka: true });
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

function testFiles() {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, file)),
    )
    .filter((file) => file.endsWith(".test.ts"))
    .sort();
}

const asked = process.argv.slice(2);
const isE2e = (file) => file.startsWith(join("infra", "e2e"));
const rings = {
  unit: { files: (all) => all.filter((file) => !isE2e(file)), concurrency: 2, timeoutMs: 120_000 },
  // One at a time: each starts a broker, and two cores are soon full.
  e2e: { files: (all) => all.filter(isE2e), concurrency: 1, timeoutMs: 900_000 },
};

/** Runs files and returns what the reporter counted. */
function run({ files, concurrency, timeoutMs }) {
  if (files.length === 0) return { passed: 0, failed: 0 };
  return counted([
    "--test",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${timeoutMs}`,
    "--test-reporter=./infra/test-reporter.js",
    "--test-reporter-destination=stdout",
    ...files,
  ]);
}

/** Runs Node with these words and returns what it counted on file descriptor 3. */
function counted(words) {
  const done = spawnSync(process.execPath, ["--import", "tsx", ...words], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: { ...process.env, LIGHTNING_TEST_COUNTS: "3" },
  });
  const [passed = 0, failed = 0] = String(done.output[3] ?? "")
    .trim()
    .split(" ")
    .map(Number);
  // A runner that died without counting is a failure, too.
  return { passed, failed: failed === 0 && done.status !== 0 ? 1 : failed };
}

const total = { passed: 0, failed: 0 };
const all = testFiles();
const compat = "compat";
const named = asked.filter((word) => !(word in rings) && word !== compat);
const plans =
  named.length > 0
    ? [{ files: named, concurrency: 1, timeoutMs: 900_000 }]
    : Object.entries(rings)
        .filter(([ring]) => asked.length === 0 || asked.includes(ring))
        .map(([, plan]) => ({ ...plan, files: plan.files(all) }));
const runs = plans.map((plan) => () => run(plan));
if (asked.length === 0 || asked.includes(compat)) {
  runs.push(() => counted([join("infra", "compat", "run.ts"), "--counts", "3"]));
}
for (const one of runs) {
  const { passed, failed } = one();
  total.passed += passed;
  total.failed += failed;
}
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
