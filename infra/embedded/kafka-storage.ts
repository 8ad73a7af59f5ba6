import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { brokerProperties } from "./kafka-settings.ts";

/** Which Kafka made a data folder: `format.json` beside the log folder. */
type Format = { readonly version: string; readonly clusterId: string };

/**
 * Makes sure `folder/log` is a formatted Kafka log folder that this version can read, formatting it
 * when there is none. A format that was cut short is done again: the log folder appears by rename.
 *
 * @throws LightningError `data-folder-incompatible`, `embedded-start-failed`
 */
export async function prepareStorage(folder: string, version: string, java: Java): Promise<Format> {
  const formatted = existsSync(join(folder, "log", "meta.properties"));
  if (!formatted) return format(folder, version, java);
  const known = readFormat(folder);
  const clusterId = clusterIdOf(folder);
  if (known === undefined) return { version, clusterId };
  if (known.clusterId !== clusterId) {
    throw incompatible(
      folder,
      `holds the log of another Kafka cluster (${clusterId}, expected ${known.clusterId})`,
    );
  }
  if (compareVersions(known.version, version) > 0) {
    throw incompatible(folder, `was made by Kafka ${known.version}, this is Kafka ${version}`);
  }
  return known;
}

/** How to run a class from Kafka's jars. */
export type Java = { readonly command: string; readonly classPath: string };

async function format(folder: string, version: string, java: Java): Promise<Format> {
  if (existsSync(join(folder, "log"))) {
    throw incompatible(folder, "holds a log folder without meta.properties: it is no Kafka data");
  }
  const clusterId = uuid();
  rmSync(join(folder, "log.partial"), { recursive: true, force: true });
  const properties = brokerProperties({ client: 1, controller: 2 }, "log.partial");
  writeFileSync(join(folder, "format.properties"), properties);
  try {
    await promisify(execFile)(
      java.command,
      // One short run: only the fast compiler pays.
      ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", java.classPath].concat(
        ["kafka.tools.StorageTool", "format", "-t", clusterId],
        ["-c", "format.properties"],
      ),
      { cwd: folder },
    );
  } catch (cause) {
    throw new LightningError(
      "embedded-start-failed",
      `Kafka could not format its storage in ${folder}: ${messageOf(cause)}`,
      { cause, folder },
    );
  }
  const made: Format = { version, clusterId };
  writeFileSync(join(folder, "format.json"), JSON.stringify(made));
  renameSync(join(folder, "log.partial"), join(folder, "log"));
  rmSync(join(folder, "format.properties"), { force: true });
  return made;
}

/** A Kafka id: 16 random bytes, base64url; a leading dash would read as a command-line flag. */
function uuid(): string {
  const id = randomBytes(16).toString("base64url");
  return id.startsWith("-") ? uuid() : id;
}

function readFormat(folder: string): Format | undefined {
  try {
    const value = JSON.parse(readFileSync(join(folder, "format.json"), "utf8")) as Partial<Format>;
    const { version, clusterId } = value;
    return version !== undefined && clusterId !== undefined ? { version, clusterId } : undefined;
  } catch {
    return undefined;
  }
}

function clusterIdOf(folder: string): string {
  const text = readFileSync(join(folder, "log", "meta.properties"), "utf8");
  return /^cluster\.id=(.+)$/m.exec(text)?.[1]?.trim() ?? "";
}

function incompatible(folder: string, fact: string): LightningError {
  return new LightningError(
    "data-folder-incompatible",
    `the data folder ${folder} ${fact}: choose another with --data, or begin anew with --fresh`,
    { folder },
  );
}

/** Compares `4.10.0` with `4.9.1` by their numbers. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(/[.-]/).map(Number);
  const right = b.split(/[.-]/).map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0 && !Number.isNaN(difference)) return difference;
  }
  return 0;
}
