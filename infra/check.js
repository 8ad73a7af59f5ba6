/**
 * `npm run check`: types, lint and format (with the import direction, the purity of processors/ and
 * the one place of process.env, see biome.json), and the schemas against types.ts and their history.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.js";

try {
  setUp({ kafka: false });
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
const root = fileURLToPath(new URL("..", import.meta.url));
const steps = [
  ["types", ["node_modules/typescript/bin/tsc", "--noEmit", "-p", "."]],
  [
    "lint and format",
    ["node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings", "."],
  ],
  ["schemas", ["--import", "tsx", "schemas/generate.ts", "--check"]],
];
let failed = 0;
for (const [name, args] of steps) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) {
    process.stderr.write(`check failed: ${name}\n`);
    failed += 1;
  }
}
process.exitCode = failed === 0 ? 0 : 1;
