/**
 * Makes a fresh clone ready to run: dependencies, Java, the jars of the embedded broker. Plain
 * JavaScript without dependencies, because it runs before there are any; and the one place besides
 * infra/config.ts that reads the environment, because it runs before that one, too.
 *
 * Says nothing and takes less than 150 ms when all is in place.
 */
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { installKafka, kafkaFits } from "./embedded/kafka-jars.js";
import { failed, hash, isRunning, read, root, run, say } from "./setup-tools.js";

/**
 * @param {{ kafka?: boolean }} [options] kafka: whether the embedded broker is wanted; by default
 *   unless KAFKA_BROKERS is set.
 * @throws {Error} with code `set-up-failed` and a message for people.
 */
export function setUp(options = {}) {
  const env = process.env;
  const kafka = options.kafka ?? !env.KAFKA_BROKERS?.trim();
  checkNode();
  const ready = () => dependenciesFit() && (!kafka || kafkaFits(env));
  if (ready()) return;
  const unlock = lock();
  try {
    if (!dependenciesFit()) installDependencies();
    if (kafka && !kafkaFits(env)) installKafka(env);
  } finally {
    unlock();
  }
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw failed(`Node ${process.versions.node} is too old: Lightning Stream needs 20.19 or newer.`);
}

const lockFile = join(root, "package-lock.json");
const stampFile = join(root, "node_modules", ".lightning-lock-hash");

function dependenciesFit() {
  // Installed as somebody's dependency: their package manager has done it.
  if (!existsSync(lockFile)) return true;
  const wanted = hash("sha256", lockFile);
  if (read(stampFile) === wanted) return true;
  if (!installedByHand()) return false;
  writeFileSync(stampFile, wanted);
  return true;
}

/** Whether npm's own record of node_modules agrees with the lock file: no need to install again. */
function installedByHand() {
  try {
    const record = read(join(root, "node_modules", ".package-lock.json"));
    const installed = JSON.parse(record).packages;
    const wanted = Object.entries(JSON.parse(read(lockFile)).packages);
    return wanted.every(([path, { version, optional }]) => {
      const found = installed[path]?.version;
      return path === "" || found === version || (found === undefined && optional === true);
    });
  } catch {
    return false;
  }
}

function installDependencies() {
  say("Installing the dependencies (npm ci) …");
  const done = run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root });
  if (!done.ok) throw failed(`npm ci did not work:\n${done.tail}`);
  writeFileSync(stampFile, hash("sha256", lockFile));
}

function lock() {
  const file = join(root, ".lightning", "setup.lock");
  mkdirSync(dirname(file), { recursive: true });
  let told = false;
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = Number(read(file));
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    // Without a number in it, it is being written, or whoever wrote it died in between.
    if (owner > 0 ? !isRunning(owner) : age > 5000) rmSync(file, { force: true });
    else if (!told) say(`Another set-up is running (process ${owner}): waiting for it …`);
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    setUp();
  } catch (error) {
    if (error.code !== "set-up-failed") throw error;
    say(error.message);
    process.exitCode = 1;
  }
}
