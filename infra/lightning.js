#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The command `lightning`. Sets the clone up when something is missing, then runs infra/cli.ts:
 * through tsx where Node cannot run TypeScript itself.
 */
import { setUp } from "./setup.js";

try {
  // Asking for help must not install a broker.
  const command = process.argv[2];
  setUp({ kafka: command === "up" ? !process.env.KAFKA_BROKERS?.trim() : false });
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
if (!process.features.typescript) {
  const { register } = await import("tsx/esm/api");
  register();
}
const { main } = await import("./cli.ts");
await main(process.argv.slice(2));
