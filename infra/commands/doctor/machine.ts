import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { KnownAddresses } from "../../addresses.ts";
import { kafkaJarsDir, kafkaVersion } from "../../embedded/kafka-jars.js";
import { type Finding, fail, ok, warn } from "./finding.ts";

const oldestJava = 17;

/** Whether this Node runs the code. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return ok(`Node ${version}`);
  return fail(`Node ${version} is too old`, "install Node 20.19 or newer");
}

/** @param embedded whether the broker is to be ours: otherwise Java is nobody's need here. */
export async function checkJava(embedded: boolean): Promise<Finding> {
  if (!embedded) return ok("Java is not needed: KAFKA_BROKERS names a cluster");
  return judgeJava(await javaVersion(), existsSync(join(kafkaJarsDir, "manifest.json")));
}

/** @param text what `java -version` says; null when there is no java. */
export function judgeJava(text: string | null, jars: boolean): Finding {
  const ways = `install Java ${oldestJava} or newer, or set KAFKA_BROKERS to use a Kafka of your own`;
  if (text === null) return fail("there is no java for the embedded broker", ways);
  const [, version = "", first = "0", second] =
    /version "((\d+)(?:\.(\d+))?[^"]*)"/.exec(text) ?? [];
  // Java 8 called itself 1.8.
  const major = Number(first === "1" ? second : first);
  if (!(major >= oldestJava))
    return fail(`Java ${version || "of an unknown version"} is too old`, ways);
  if (!jars) {
    return warn(`Java ${version}; Kafka's jars are not here yet`, "`lightning up` fetches them");
  }
  return ok(`Java ${version}, and the jars of Kafka ${kafkaVersion} for the embedded broker`);
}

function javaVersion(): Promise<string | null> {
  return new Promise((resolve) => {
    execFile("java", ["-version"], { timeout: 10_000 }, (error, stdout, stderr) => {
      resolve(error === null ? stdout + stderr : null);
    });
  });
}

/** Whether the `lightning up` that wrote the addresses still runs. */
export function checkAddresses(dataDir: string, known: KnownAddresses | undefined): Finding {
  if (known === undefined) return ok(`no \`lightning up\` has the data folder ${dataDir}`);
  if (known.running) return ok(`\`lightning up\` runs as process ${known.pid}, data in ${dataDir}`);
  return warn(
    `the \`lightning up\` of ${dataDir} (process ${known.pid}) has ended without cleaning up`,
    "its addresses are not used; start `lightning up` again: it goes on where it was",
  );
}
