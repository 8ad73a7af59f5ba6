/** What infra/setup.js and its parts share; plain JavaScript, for the reason given there. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const cache = join(root, ".lightning", "cache");

export function run(command, words, options = {}) {
  const done = spawnSync(command, words, {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
  });
  const text = done.error?.message ?? `${done.stdout}${done.stderr}`;
  return { ok: done.status === 0, text, tail: text.trimEnd().split("\n").slice(-15).join("\n") };
}

export function hash(algorithm, file) {
  return createHash(algorithm).update(readFileSync(file)).digest("hex");
}

export function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

export function json(file) {
  try {
    return JSON.parse(read(file));
  } catch {
    return undefined;
  }
}

export function removeFrom(folder, unwanted) {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names.filter(unwanted)) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

export function say(line) {
  process.stderr.write(`${line}\n`);
}

export function failed(message) {
  return Object.assign(new Error(message), { code: "set-up-failed" });
}

export function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
