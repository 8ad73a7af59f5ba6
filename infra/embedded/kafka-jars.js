/** The part of infra/setup.js that makes the embedded broker startable: Java and Kafka's jars. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import {
  cache,
  failed,
  hash,
  isRunning,
  json,
  read,
  removeFrom,
  root,
  run,
  say,
} from "../setup-tools.js";

const pom = join(root, "infra", "embedded", "pom.xml");
const oldestJava = 17;

/** The Kafka version that infra/embedded/pom.xml asks for. */
export const kafkaVersion = /<kafka\.version>([^<]+)</.exec(read(pom))?.[1] ?? "";

/** Where the broker's jars are after {@link installKafka}. */
export const kafkaJarsDir = join(cache, `kafka-${kafkaVersion}`);

/** Whether the broker can be started as it is. `env` is the environment of the process. */
export function kafkaFits(env) {
  return javaFits(env) && jarsFit();
}

/** Installs Java and Maven where that is possible and missing, and fetches the jars. */
export function installKafka(env) {
  installJava(env);
  if (!jarsFit()) fetchJars(env);
}

/** Finds a Java that is new enough; asks it for its version only once per binary. */
function javaFits(env) {
  const java = findCommand("java", env);
  if (java === undefined) return false;
  const file = realpathSync(java);
  const known = json(join(cache, "java.json"));
  const { mtimeMs } = statSync(file);
  if (known?.file === file && known.mtimeMs === mtimeMs) return known.major >= oldestJava;
  const { text } = run(java, ["-version"]);
  const [, first, second] = /version "(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  const major = Number(first === "1" ? second : first) || 0;
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, "java.json"), JSON.stringify({ file, mtimeMs, major }));
  // Archives of loaded classes fit only the Java that made them.
  removeFrom(cache, (name) => name.includes(".jsa"));
  return major >= oldestJava;
}

function findCommand(name, env) {
  const home = name === "java" ? env.JAVA_HOME : env.MAVEN_HOME;
  const folders = [...(home ? [join(home, "bin")] : []), ...(env.PATH ?? "").split(delimiter)];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

function installJava(env) {
  const needsJava = !javaFits(env);
  const needsMaven = findCommand("mvn", env) === undefined && !jarsFit();
  if (!needsJava && !needsMaven) return;
  const what = [needsJava ? `Java ${oldestJava} or newer` : "", needsMaven ? "Maven" : ""];
  const wanted = what.filter(Boolean).join(" and ");
  const debian = existsSync("/etc/debian_version") && findCommand("apt-get", env) !== undefined;
  if (!debian || process.getuid?.() !== 0) throw failed(threeWaysOut(wanted));
  say(`Installing ${wanted} with apt-get (once, about a minute) …`);
  apt(["update"], wanted);
  const packages = [...(needsJava ? [javaPackage()] : []), ...(needsMaven ? ["maven"] : [])];
  apt(["install", "-y", "--no-install-recommends", ...packages], wanted);
  if (!javaFits(env)) throw failed(threeWaysOut(wanted));
}

function threeWaysOut(wanted) {
  return [
    `The embedded Kafka broker needs ${wanted}, which this machine does not have. Three ways out:`,
    `  - install ${wanted} (Debian, Ubuntu: sudo apt-get install openjdk-17-jre-headless maven)`,
    "  - run everything in containers: docker compose -f infra/compose.yaml up",
    "  - use a Kafka of your own: set KAFKA_BROKERS=host:port",
  ].join("\n");
}

/** The oldest sufficient Java that this Debian has. */
function javaPackage() {
  const names = [17, 21, 25].map((major) => `openjdk-${major}-jre-headless`);
  const exists = (name) => run("apt-cache", ["show", name]).ok;
  return names.find(exists) ?? "default-jre-headless";
}

function apt(words, wanted) {
  const done = run("env", ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", ...words]);
  if (!done.ok) {
    throw failed(`apt-get ${words[0]} did not work:\n${done.tail}\n${threeWaysOut(wanted)}`);
  }
}

/** Whether the jars are complete and undamaged: names, sizes and, where a time changed, hashes. */
function jarsFit() {
  const manifest = json(join(kafkaJarsDir, "manifest.json"));
  if (manifest?.pom !== hash("sha256", pom)) return false;
  return manifest.files.every(({ name, size, mtimeMs, sha1 }) => {
    const file = join(kafkaJarsDir, name);
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.size !== size) return false;
    return found.mtimeMs === mtimeMs || hash("sha1", file) === sha1;
  });
}

function fetchJars(env) {
  say(
    existsSync(kafkaJarsDir)
      ? "Kafka's jars are damaged or outdated: fetching them again …"
      : `Fetching Apache Kafka ${kafkaVersion} with Maven (once, 43 MB) …`,
  );
  // What a killed set-up left, and the archive of classes that belongs to the jars to be replaced.
  removeFrom(cache, (name) => {
    const owner = /\.partial-(\d+)$/.exec(name)?.[1];
    return owner === undefined ? name.includes(".jsa") : !isRunning(Number(owner));
  });
  const partial = `${kafkaJarsDir}.partial-${process.pid}`;
  copyJars(partial, [], env);
  // A jar cut short in Maven's own repository is copied as it is: then from a repository of our own.
  if (!jarsIn(partial).every(isWhole)) {
    rmSync(partial, { recursive: true, force: true });
    copyJars(partial, [`-Dmaven.repo.local=${join(cache, "maven")}`], env);
  }
  const files = jarsIn(partial).map((file) => {
    const { size, mtimeMs } = statSync(file);
    return { name: file.slice(partial.length + 1), size, mtimeMs, sha1: hash("sha1", file) };
  });
  const manifest = { kafka: kafkaVersion, pom: hash("sha256", pom), files };
  writeFileSync(join(partial, "manifest.json"), JSON.stringify(manifest, undefined, 1));
  rmSync(kafkaJarsDir, { recursive: true, force: true });
  renameSync(partial, kafkaJarsDir);
}

function copyJars(folder, flags, env) {
  const goal = ["dependency:copy-dependencies", `-DoutputDirectory=${folder}`];
  const done = run(findCommand("mvn", env) ?? "mvn", ["-q", "-B", "-f", pom, ...flags, ...goal]);
  if (done.ok) return;
  throw failed(
    `Maven could not fetch Kafka's jars:\n${done.tail}\n` +
      "It needs Maven Central, or a mirror of it in ~/.m2/settings.xml; or set KAFKA_BROKERS to use a Kafka of your own.",
  );
}

function jarsIn(folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".jar"));
  return names.map((name) => join(folder, name));
}

/** Whether a zip file has its end: the signature that closes it, within its last 64 KiB. */
function isWhole(file) {
  return readFileSync(file).subarray(-65_558).includes(Buffer.from("PK\u0005\u0006"));
}
