import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { BaseLogger } from "pino";
import { LightningError } from "../../schemas/errors.ts";
import { adoptBroker, type Broker, endProcess, launchBroker } from "./kafka-broker.ts";
import { findOrphan, forgetBroker, rememberBroker } from "./kafka-orphan.ts";
import { brokerAnswers } from "./kafka-probe.ts";
import type { BrokerPorts } from "./kafka-settings.ts";
import { type Java, prepareStorage } from "./kafka-storage.ts";
import { lockFolder, type ProcessId } from "./owner.ts";
import { assertPortFree, freePorts } from "./port.ts";

export type KafkaOptions = {
  /** The data folder; the broker keeps to `<dataDir>/kafka`. */
  readonly dataDir: string;
  /** The folder of jars that infra/setup.js made. */
  readonly jarsDir: string;
  /** Port on 127.0.0.1; 0 takes a free one. */
  readonly port?: number;
  readonly log: BaseLogger;
  /** Most memory of the broker's heap, MiB. */
  readonly heapMb?: number;
  /** The java command, when it is not the first in PATH. */
  readonly java?: string;
};

export type Kafka = {
  /** `127.0.0.1:<port>`. */
  readonly brokers: string;
  readonly version: string;
  readonly pid: number;
  /** Resolves with the last lines of the broker's log when it ends, asked to or not. */
  readonly exited: Promise<string>;
  /** Ends the broker cleanly (SIGTERM, after 10 s SIGKILL) and frees the data folder. */
  stop(): Promise<void>;
};

/**
 * Starts Apache Kafka (one KRaft node, loopback only) and returns when it takes requests. A broker
 * left running by a killed parent is taken over when it fits, and ended otherwise.
 *
 * @throws LightningError `port-in-use`, `data-folder-locked`, `data-folder-incompatible`,
 *   `embedded-start-failed` (with the last lines of the broker's log)
 */
export async function startKafka(options: KafkaOptions): Promise<Kafka> {
  const folder = join(options.dataDir, "kafka");
  mkdirSync(folder, { recursive: true });
  const unlock = await lockFolder(join(folder, "owner.lock"), `the Kafka data in ${folder}`);
  try {
    const version = versionOf(options.jarsDir);
    const adopted = await takeOver(folder, version, options);
    const broker = adopted ?? (await launch(folder, version, options));
    return serve(folder, version, broker, unlock, options.log);
  } catch (error) {
    unlock();
    throw error;
  }
}

function serve(
  folder: string,
  version: string,
  broker: Broker,
  unlock: () => void,
  log: BaseLogger,
): Kafka {
  let stopping = false;
  const exited = broker.exited.then((tail) => {
    forgetBroker(folder);
    unlock();
    if (!stopping) log.error({ pid: broker.process.pid, tail }, "kafka ended unasked");
    return tail;
  });
  return {
    brokers: `127.0.0.1:${broker.port}`,
    version,
    pid: broker.process.pid,
    exited,
    async stop() {
      stopping = true;
      await broker.stop();
      await exited;
    },
  };
}

async function takeOver(
  folder: string,
  version: string,
  { port = 0, log }: KafkaOptions,
): Promise<Broker | undefined> {
  const orphan = findOrphan(folder);
  if (orphan === undefined) return undefined;
  const { pid } = orphan.process;
  const fits = orphan.version === version && (port === 0 || port === orphan.port);
  if (fits && (await brokerAnswers(orphan.port))) {
    log.info({ pid, port: orphan.port }, "kafka taken over from a killed process");
    return adoptBroker(folder, orphan.process, orphan.port);
  }
  log.warn({ pid, port: orphan.port }, "kafka of a killed process does not fit: ending it");
  await endProcess(orphan.process);
  return undefined;
}

async function launch(folder: string, version: string, options: KafkaOptions): Promise<Broker> {
  const { port = 0, log, jarsDir, heapMb = 768, java: command = "java" } = options;
  if (port !== 0) await assertPortFree(port, "Kafka");
  const java: Java = { command, classPath: join(jarsDir, "*") };
  await prepareStorage(folder, version, java);
  // A free port can be lost to another program before the broker binds it: then others are tried.
  for (let tries = 1; ; tries++) {
    const [client = 0, controller = 0] = await freePorts(2);
    const ports: BrokerPorts = { client: port === 0 ? client : port, controller };
    const started = performance.now();
    try {
      const onSpawn = (process: ProcessId) => {
        rememberBroker(folder, { process, port: ports.client, version });
      };
      const broker = await launchBroker({ folder, java, jarsDir, ports, heapMb, onSpawn });
      const ms = Math.round(performance.now() - started);
      log.info({ pid: broker.process.pid, port: ports.client, version, ms }, "kafka started");
      return broker;
    } catch (error) {
      const lostPort = /Address already in use/.test(String(error));
      if (!lostPort || tries === 3) throw error;
    }
  }
}

function versionOf(jarsDir: string): string {
  let names: string[] = [];
  try {
    names = readdirSync(jarsDir);
  } catch {}
  const version = names.map((name) => /^kafka_[\d.]+-(.+)\.jar$/.exec(name)?.[1]).find(Boolean);
  if (version === undefined) {
    throw new LightningError(
      "embedded-start-failed",
      `no Kafka jars in ${jarsDir}: run \`node infra/setup.js\``,
      { jarsDir },
    );
  }
  return version;
}
