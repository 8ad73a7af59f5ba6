/** Where the broker listens; both on 127.0.0.1. */
export type BrokerPorts = { readonly client: number; readonly controller: number };

/** Room for a record of 16 MiB (`maxRecordBytes` in schemas/topics.ts) and the batch around it. */
const messageBytes = 16 * 1024 * 1024 + 64 * 1024;

/**
 * `server.properties` of the one-node KRaft broker. `log.dirs` is relative to the working directory
 * (the broker's folder), so that a data folder can be moved and its path may hold any character.
 */
export function brokerProperties(ports: BrokerPorts, logDir: string): string {
  return Object.entries({
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": `1@127.0.0.1:${ports.controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${ports.client},CONTROLLER://127.0.0.1:${ports.controller}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${ports.client}`,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": logDir,
    ...topicSettings,
    ...groupSettings,
    ...sizeSettings,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

const topicSettings = {
  // A misspelt topic is an error, not a new topic.
  "auto.create.topics.enable": false,
  "default.replication.factor": 1,
  "min.insync.replicas": 1,
  "offsets.topic.replication.factor": 1,
  "transaction.state.log.replication.factor": 1,
  "transaction.state.log.min.isr": 1,
  "share.coordinator.state.topic.replication.factor": 1,
  "share.coordinator.state.topic.min.isr": 1,
  // The defaults (50 each) cost files and start-up time that one machine gets nothing for.
  "offsets.topic.num.partitions": 4,
  "transaction.state.log.num.partitions": 4,
  "message.max.bytes": messageBytes,
  "replica.fetch.max.bytes": messageBytes,
};

const groupSettings = {
  "group.initial.rebalance.delay.ms": 0,
  // Low, so that tests can have a killed consumer's partitions taken over at once.
  "group.min.session.timeout.ms": 2000,
  // A broker killed with -9 may register again only when its old session has run out: with the
  // default of 9 s a restart takes 11 s, with 3 s it takes 4.
  "broker.session.timeout.ms": 3000,
  "broker.heartbeat.interval.ms": 750,
};

const sizeSettings = {
  "num.network.threads": 2,
  "num.io.threads": 4,
  "background.threads": 4,
  "socket.request.max.bytes": 100 * 1024 * 1024,
  // Bounds what waits in memory: the heap is a small one.
  "queued.max.request.bytes": 128 * 1024 * 1024,
  // 128 MiB by default, taken from the heap when the broker starts; 16 MiB map 700,000 keys.
  "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
  "log.segment.bytes": 256 * 1024 * 1024,
  // No JMX: nobody reads it here.
  "metric.reporters": "",
};

/**
 * Flags of the broker's JVM. The serial collector needs the least CPU on two cores; both compilers
 * stay on (C1 alone starts 0.2 s sooner and is slower ever after). An archive of its classes
 * (class data sharing) takes start-up from 2.2 s and 3.2 CPU-s to 1.3 s and 2.0 CPU-s.
 */
export function javaFlags(heapMb: number, log4jFile: string, tempDir: string): string[] {
  return [
    "-Xms256m",
    `-Xmx${heapMb}m`,
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    // Otherwise every thread keeps a direct buffer as large as the largest record it ever sent.
    "-Djdk.nio.maxCachedBufferSize=262144",
    "-Djava.awt.headless=true",
    // The codecs unpack native libraries there, and a killed broker leaves them behind.
    `-Djava.io.tmpdir=${tempDir}`,
    "-Dlog4j2.disableJmx=true",
    `-Dlog4j2.configurationFile=${log4jFile}`,
  ];
}
