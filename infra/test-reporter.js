/**
 * Reporter for infra/test.js: a line for each file with its time, failures in full, counts on file
 * descriptor 3.
 */
import { writeSync } from "node:fs";
import { relative } from "node:path";
import { inspect } from "node:util";

function reasonOf({ details }) {
  const { error } = details;
  const cause = error?.cause ?? error;
  return typeof cause === "object" ? (cause?.stack ?? inspect(cause)) : String(cause);
}

function fileLine({ name, details }) {
  const seconds = (details.duration_ms / 1000).toFixed(1);
  return `${seconds.padStart(6)} s  ${relative(process.cwd(), name)}\n`;
}

export default async function* report(events) {
  const counts = { passed: 0, failed: 0 };
  for await (const { type, data } of events) {
    // Suites and files are containers; a file that fails on its own (a crash) has no tests in it.
    const isFile = data.name?.endsWith(".test.ts");
    if (type === "test:complete" && isFile) yield fileLine(data);
    if (type !== "test:pass" && type !== "test:fail") continue;
    const isContainer = data.details.type === "suite" || (isFile && type === "test:pass");
    const isSkipped = data.skip !== undefined || data.todo !== undefined;
    if (isContainer || isSkipped) continue;
    counts[type === "test:pass" ? "passed" : "failed"] += 1;
    if (type === "test:pass") continue;
    const file = relative(process.cwd(), data.file ?? data.name);
    yield `FAILED  ${file}: ${data.name}\n${reasonOf(data)}\n`;
  }
  if (process.env.LIGHTNING_TEST_COUNTS) writeSync(3, `${counts.passed} ${counts.failed}\n`);
}
