import { connect } from "node:net";

const apis = {
  /** Metadata v1 for no topic at all: the least that names the live brokers. */
  metadata: { key: 3, version: 1, body: Buffer.from([0, 0, 0, 0]) },
  groupCoordinator: { key: 10, version: 2, body: coordinatorOf(0) },
  transactionCoordinator: { key: 10, version: 2, body: coordinatorOf(1) },
} as const;

/** FindCoordinator v2 for the key "lightning". */
function coordinatorOf(type: 0 | 1): Buffer {
  const key = Buffer.from("lightning");
  return Buffer.concat([Buffer.from([0, key.length]), key, Buffer.from([type])]);
}

/** Whether a Kafka broker answers on a loopback port. */
export async function brokerAnswers(port: number): Promise<boolean> {
  return (await ask(port, apis.metadata)) !== undefined;
}

/**
 * Whether it can be worked with: it counts itself alive (ApiVersions would be answered before that,
 * while creating a topic still fails), and both kinds of coordinator are there. Asking for those makes
 * the broker create their topics: otherwise the first transaction and the first commit of a fresh
 * data folder fail.
 */
export async function brokerIsReady(port: number): Promise<boolean> {
  const brokers = await ask(port, apis.metadata);
  if (brokers === undefined || brokers.readInt32BE(0) === 0) return false;
  const coordinators = await Promise.all([
    ask(port, apis.groupCoordinator),
    ask(port, apis.transactionCoordinator),
  ]);
  // After the throttle time comes the error code.
  return coordinators.every((answer) => answer?.readInt16BE(4) === 0);
}

type Api = (typeof apis)[keyof typeof apis];

/** The answer's body, or undefined when there is none within a second. */
function ask(port: number, api: Api): Promise<Buffer | undefined> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    const end = (answer: Buffer | undefined) => {
      socket.destroy();
      done(answer);
    };
    let received = Buffer.alloc(0);
    socket.setTimeout(1000, () => end(undefined));
    socket.on("error", () => end(undefined));
    socket.on("close", () => done(undefined));
    socket.on("connect", () => socket.write(request(api)));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      // Size, correlation id, body: none of the three answers has a body under 10 bytes.
      if (received.length < 18 || received.length < 4 + received.readInt32BE(0)) return;
      end(received.readInt32BE(4) === correlation ? received.subarray(8) : undefined);
    });
  });
}

const correlation = 7;

function request({ key, version, body }: Api): Buffer {
  const message = Buffer.alloc(14 + body.length);
  message.writeInt32BE(message.length - 4, 0);
  message.writeInt16BE(key, 4);
  message.writeInt16BE(version, 6);
  message.writeInt32BE(correlation, 8);
  message.writeInt16BE(-1, 12);
  body.copy(message, 14);
  return message;
}
