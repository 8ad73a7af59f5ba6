import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { LightningError } from "../../schemas/errors.ts";
import { brokerIsReady } from "./kafka-probe.ts";
import { type BrokerPorts, brokerProperties, javaFlags } from "./kafka-settings.ts";
import type { Java } from "./kafka-storage.ts";
import { findProcess, isRunning, type ProcessId } from "./owner.ts";

/** A broker process that takes requests. */
export type Broker = {
  readonly process: ProcessId;
  readonly port: number;
  /** Resolves with the last lines it logged when the process is gone. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
};

export type Launch = {
  readonly folder: string;
  readonly java: Java;
  readonly jarsDir: string;
  readonly ports: BrokerPorts;
  readonly heapMb: number;
  onSpawn(process: ProcessId): void;
};

const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;
const log4jFile = fileURLToPath(new URL("kafka-log4j2.xml", import.meta.url));

/** Starts the broker's JVM and waits until it takes requests. */
export async function launchBroker(launch: Launch): Promise<Broker> {
  const { folder, ports } = launch;
  writeFileSync(join(folder, "server.properties"), brokerProperties(ports, "log"));
  const archive = classArchive(launch.jarsDir);
  const child = spawnJava(launch, archive);
  const exited = new Promise<string>((done) => {
    child.once("exit", (code) => {
      archive.keep(code === 143 || code === 0);
      done(lastLines(folder));
    });
    child.once("error", (error) => done(error.message));
  });
  const self = findProcess(child.pid ?? 0) ?? { pid: child.pid ?? 0, started: "" };
  // Before it answers: whoever kills us now leaves a broker behind that must be found.
  launch.onSpawn(self);
  await answering(child, exited, launch);
  return {
    process: self,
    port: ports.client,
    exited,
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs + archive.extraMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** A broker that another process started and left behind. */
export function adoptBroker(folder: string, self: ProcessId, port: number): Broker {
  // Not a child: nobody tells us when it ends.
  let end = () => {};
  const exited = new Promise<string>((done) => {
    const watch = setInterval(() => isRunning(self) || end(), 250);
    end = () => {
      clearInterval(watch);
      done(lastLines(folder));
    };
  });
  return {
    process: self,
    port,
    exited,
    async stop() {
      await endProcess(self);
      end();
    },
  };
}

/** SIGTERM, and SIGKILL when that did not end it in 10 s. */
export async function endProcess(id: ProcessId): Promise<void> {
  const kill = (signal: "SIGTERM" | "SIGKILL") => {
    if (isRunning(id)) process.kill(id.pid, signal);
  };
  kill("SIGTERM");
  for (let waited = 0; isRunning(id); waited += 50) {
    if (waited === stopTimeoutMs) kill("SIGKILL");
    await sleep(50);
  }
}

function spawnJava(launch: Launch, archive: ClassArchive): ChildProcess {
  const { folder, java, heapMb } = launch;
  const output = openSync(join(folder, "console.log"), "w");
  // The log of the one before says why it ended.
  if (existsSync(join(folder, "server.log"))) {
    renameSync(join(folder, "server.log"), join(folder, "server.log.before"));
  }
  const tempDir = join(folder, "tmp");
  rmSync(tempDir, { recursive: true, force: true });
  mkdirSync(tempDir);
  const flags = [...javaFlags(heapMb, log4jFile, tempDir), archive.flag];
  const child = spawn(
    java.command,
    [...flags, "-cp", java.classPath, "kafka.Kafka", "server.properties"],
    // A session of its own: Ctrl-C reaches us alone, and the broker outlives what still writes to it.
    { cwd: folder, stdio: ["ignore", output, output], detached: true },
  );
  closeSync(output);
  return child;
}

async function answering(child: ChildProcess, exited: Promise<string>, l: Launch): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  let tail: string | undefined;
  exited.then((lines) => {
    tail = lines;
  });
  while (!(await brokerIsReady(l.ports.client))) {
    if (tail === undefined && Date.now() > deadline) child.kill("SIGKILL");
    if (tail !== undefined) throw startFailed(tail, l);
    await sleep(20);
  }
}

function startFailed(tail: string, { folder, ports }: Launch): LightningError {
  return new LightningError(
    "embedded-start-failed",
    `Kafka did not start on port ${ports.client}; the end of its log (${join(folder, "server.log")}):\n${tail}`,
    { folder, port: ports.client },
  );
}

function lastLines(folder: string): string {
  const read = (name: string): string[] => {
    try {
      return readFileSync(join(folder, name), "utf8").split("\n").filter(Boolean);
    } catch {
      return [];
    }
  };
  return [...read("server.log"), ...read("console.log")].slice(-20).join("\n");
}

type ClassArchive = {
  readonly flag: string;
  /** What writing the archive adds to a stop. */
  readonly extraMs: number;
  keep(clean: boolean): void;
};

/**
 * The archive of loaded classes beside the jars. The first broker to stop cleanly writes it, which
 * takes it 3 s once; a JVM that finds it unfit (another Java) goes on without.
 */
function classArchive(jarsDir: string): ClassArchive {
  const file = `${jarsDir}.jsa`;
  if (existsSync(file)) {
    return { flag: `-XX:SharedArchiveFile=${file}`, extraMs: 0, keep() {} };
  }
  const partial = `${file}.partial.${process.pid}.${Date.now()}`;
  return {
    flag: `-XX:ArchiveClassesAtExit=${partial}`,
    extraMs: 20_000,
    keep(clean) {
      try {
        if (clean) renameSync(partial, file);
        else rmSync(partial, { force: true });
      } catch {}
    },
  };
}
