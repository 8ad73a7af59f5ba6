/** Reporter for infra/test.js: a line for each file, failures in full, counts on file descriptor 3. */
import { writeSync } from "node:fs";
import { relative } from "node:path";
import { inspect } from "node:util";

function reasonOf({ details }) {
  const { error } = details;
  const cause = error?.cause ?? error;
  return typeof cause === "object" ? (cause?.stack ?? inspect(cause)) : String(cause);
}

export default async function* report(events) {
  const counts = { passed: 0, failed: 0 };
  const files = new Map();
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    // Suites and files are containers; a file that fails on its own (a crash) has no tests in it.
    const isFile = data.name.endsWith(".test.ts");
    if (data.details.type === "suite" || (isFile && type === "test:pass")) continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    if (skipped) continue;
    counts[type === "test:pass" ? "passed" : "failed"] += 1;
    const file = relative(process.cwd(), data.file ?? data.name);
    if (type === "test:fail") yield `FAILED  ${file}: ${data.name}\n${reasonOf(data)}\n`;
    else if (!files.has(file)) yield `${file}\n`;
    files.set(file, true);
  }
  if (process.env.LIGHTNING_TEST_COUNTS) writeSync(3, `${counts.passed} ${counts.failed}\n`);
}
