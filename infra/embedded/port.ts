import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { LightningError } from "../../schemas/errors.ts";

const host = "127.0.0.1";

/** Asks the kernel for `count` different free loopback ports. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => {
    const address = server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  });
  await Promise.all(servers.map((s) => new Promise((done) => s.close(done))));
  return ports;
}

/** @throws LightningError `port-in-use` naming the port and, where it can be seen, who has it. */
export async function assertPortFree(port: number, what: string): Promise<void> {
  try {
    const server = await listen(port);
    await new Promise((done) => server.close(done));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") throw portInUse(port, what);
    throw error;
  }
}

/** The error for a port that is taken. */
export function portInUse(port: number, what: string): LightningError {
  const holder = whoListens(port);
  const by = holder === undefined ? "another program" : `${holder.name} (pid ${holder.pid})`;
  return new LightningError(
    "port-in-use",
    `port ${port}, wanted for ${what}, is in use by ${by}: stop it, or choose another port (0 takes a free one)`,
    { port, ...holder },
  );
}

function listen(port: number): Promise<ReturnType<typeof createServer>> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(port, host, () => done(server));
  });
}

/** The process listening on a TCP port, from /proc; undefined elsewhere or when not permitted. */
export function whoListens(port: number): { pid: number; name: string } | undefined {
  try {
    const inodes = listeningInodes(port);
    if (inodes.size === 0) return undefined;
    for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
      if (holdsSocket(pid, inodes)) {
        return { pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, "utf8").trim() };
      }
    }
  } catch {}
  return undefined;
}

function listeningInodes(port: number): Set<string> {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readFileSync(table, "utf8").split("\n").slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      // 0A is LISTEN.
      if (state === "0A" && local?.endsWith(`:${wanted}`) && inode !== undefined) inodes.add(inode);
    }
  }
  return inodes;
}

function holdsSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    return false;
  }
}
