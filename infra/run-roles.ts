import { LightningError } from "../schemas/errors.ts";
import type { Values } from "./config.ts";
import { createContext } from "./context.ts";
import { ensureTopics, planTopics } from "./kafka/admin.ts";
import { partitionCounts, type RoleName, readers, roles, type Started } from "./roles.ts";

/** What a process of roles tells its parent over the IPC channel, when there is one. */
export type RolesMessage =
  | { readonly ready: Readonly<Partial<Record<RoleName, string>>> }
  | { readonly failed: { readonly code: string; readonly message: string } };

export type RunningRoles = {
  readonly addresses: Readonly<Partial<Record<RoleName, string>>>;
  readonly done: Promise<void>;
  stop(): Promise<void>;
};

/**
 * Starts any subset of the roles in this process; topics are made when they are missing.
 *
 * @param ports of the roles that listen; a role's own default otherwise.
 */
export async function startRoles(
  values: Values,
  names: readonly RoleName[],
  ports: Readonly<Partial<Record<RoleName, number>>>,
): Promise<RunningRoles> {
  const context = createContext(values, names.length === 1 ? (names[0] ?? "") : "roles");
  const started: Started[] = [];
  const addresses: Partial<Record<RoleName, string>> = {};
  const stop = async (): Promise<void> => {
    // Doors first, so that nothing new comes in while the rest finishes.
    for (const role of started) await role.stop();
    await context.close();
  };
  try {
    const plans = planTopics(partitionCounts(values), readers);
    await ensureTopics(context.client, plans, values.KAFKA_REPLICATION);
    const starting = names.map(async (name) => {
      const role: (typeof roles)[RoleName] & { port?: number } = roles[name];
      const running: Started = await role.start(context, { port: ports[name] ?? role.port ?? 0 });
      started.push(running);
      if (running.address !== undefined) addresses[name] = running.address;
    });
    await Promise.all(starting);
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  return { addresses, done: Promise.race(started.map((role) => role.done)), stop };
}

/**
 * Records of a kilobyte fill Node's own pools of 8 KiB after a few, and each new one is a call into
 * V8 and a thing to collect.
 */
const bufferPoolBytes = 64 * 1024;

/**
 * Runs roles until SIGTERM or SIGINT, or until one of them fails; tells the parent process when
 * there is one. Ends with the parent: a killed supervisor leaves nothing behind.
 */
export async function runRolesUntilStopped(
  values: Values,
  names: readonly RoleName[],
  ports: Readonly<Partial<Record<RoleName, number>>>,
  say: (line: string) => void,
): Promise<void> {
  const tell = (message: RolesMessage): void => {
    if (process.connected === true) process.send?.(message);
  };
  const asked = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
    process.once("disconnect", () => resolve());
  });
  Buffer.poolSize = bufferPoolBytes;
  let running: RunningRoles | undefined;
  try {
    running = await startRoles(values, names, ports);
    tell({ ready: running.addresses });
    for (const name of names) say(`${name} runs${atAddress(running.addresses[name])}`);
    await Promise.race([asked, running.done]);
  } catch (error) {
    if (error instanceof LightningError)
      tell({ failed: { code: error.code, message: error.message } });
    throw error;
  } finally {
    await running?.stop();
  }
}

function atAddress(address: string | undefined): string {
  return address === undefined ? "" : ` at ${address}`;
}
