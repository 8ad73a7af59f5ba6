import { connect } from "node:net";
import { LightningError } from "../../schemas/errors.ts";
import { defaultDataDir } from "../addresses.ts";
import { kafkaSettings, type Values } from "../config.ts";
import { createKafkaClient, type KafkaClient } from "../kafka/client.ts";
import { createLog } from "../log.ts";

/** A word of the command line: `lightning <name> …`. */
export type Command = {
  /** One line. */
  readonly doc: string;
  /** How it is called and what its options mean. */
  readonly usage: string;
  /** Throws LightningError; `request-invalid` when it was called wrongly. */
  run(args: readonly string[]): Promise<void>;
};

/** The option every command has. */
export const dataOption = { data: { type: "string", default: defaultDataDir } } as const;

export const dataUsage = `  --data DIR       data folder of the \`lightning up\` to talk to (${defaultDataDir});
                   what the environment says goes before it`;

/** The error of a command called wrongly. */
export function wrongUse(command: string, message: string): LightningError {
  return new LightningError("request-invalid", `${message}; lightning help ${command} says more`);
}

/** @throws LightningError `request-invalid` naming the option, what was read and what is allowed. */
export function wholeNumber(command: string, option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw wrongUse(command, `${option} is ${JSON.stringify(text)}, allowed is a whole number from 0`);
}

/** @throws LightningError `request-invalid` naming the option, what was read and what is allowed. */
export function portNumber(command: string, text: string, option = "--port"): number {
  const port = wholeNumber(command, option, text);
  // A few ports behind it are taken as well.
  if (port <= mostPort) return port;
  throw wrongUse(command, `${option} is ${text}, allowed is a port from 0 to ${mostPort}`);
}

const mostPort = 65_530;

/** Writes to stdout; a reader that has seen enough (`| head`) ends the command quietly. */
export function print(text: string): void {
  if (process.stdout.listenerCount("error") === 0) {
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }
  process.stdout.write(`${text}\n`);
}

/** Advice and remarks: stdout is for the answer, which may go into a file. */
export function remark(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * A client of the configured brokers, when one of them can be reached at all: kafkajs alone would
 * try for ten seconds and not say where.
 *
 * @throws LightningError `kafka-unavailable` naming each address and why it does not answer.
 */
export async function connectKafka(values: Values): Promise<KafkaClient> {
  const settings = kafkaSettings(values, "lightning-cli");
  const failures = await whyAllUnreachable(settings.brokers);
  if (failures !== null) {
    throw new LightningError(
      "kafka-unavailable",
      `no Kafka broker answers (${failures}): start \`lightning up\`, or set KAFKA_BROKERS to a cluster that runs`,
    );
  }
  return createKafkaClient(settings, createLog(values.LIGHTNING_LOG_LEVEL, "cli"));
}

/** Why none of these addresses can be reached; null when one can. */
export async function whyAllUnreachable(addresses: readonly string[]): Promise<string | null> {
  const failures = await Promise.all(addresses.map(whyUnreachable));
  if (failures.includes(null)) return null;
  return addresses.map((address, i) => `${address}: ${failures[i]}`).join(", ");
}

const reachWithinMs = 2000;

/** Why nothing listens at a `host:port`, or null when something does. */
export function whyUnreachable(address: string): Promise<string | null> {
  const colon = address.lastIndexOf(":");
  const [host, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (why: string | null) => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(reachWithinMs, () => end(`no answer within ${reachWithinMs / 1000} s`));
    socket.once("error", (error: NodeJS.ErrnoException) => end(reasonOf(error)));
    socket.once("connect", () => end(null));
  });
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the host's name cannot be looked up now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ECONNRESET: "the connection was cut",
};

/** What a network error means, by its code. */
export function reasonOf(error: unknown): string {
  const { code, message, name } = error as NodeJS.ErrnoException;
  if (name === "TimeoutError") return "no answer in time";
  return reasons[code ?? ""] ?? code ?? message ?? String(error);
}
