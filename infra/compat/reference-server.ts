import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePort, until } from "../e2e/stack.ts";
import { pythonEnvironment } from "./reference-python.ts";

const script = fileURLToPath(new URL("reference.py", import.meta.url));
/** Importing the package alone takes ten seconds on a busy machine. */
const startWithinMs = 90_000;

/** The reference's own server, in memory mode. */
export type ReferenceServer = {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
};

/**
 * @param how `suite`: a store for each project, and a watchdog that never rests; `agl store`: the
 *   package's own command as it is.
 */
export async function startReference(
  python: string,
  how: "suite" | "agl store",
): Promise<ReferenceServer> {
  const port = await freePort();
  const cli = ["-m", "agentlightning.cli.store", "--host", "127.0.0.1", "--log-level", "ERROR"];
  const words = how === "suite" ? [script] : cli;
  const child = spawn(python, [...words, "--port", String(port)], {
    stdio: ["ignore", "ignore", "pipe"],
    env: pythonEnvironment(),
  });
  // It logs its start and its end there, too: worth showing only when it fails.
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-2000);
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    await until(
      () => `the reference server answers at ${url}`,
      startWithinMs,
      async () => {
        if (hasEnded(child))
          throw new Error(`the reference server ended before it was ready:\n${said}`);
        const health = await fetch(`${url}/v1/agl/health`).catch(() => undefined);
        return health?.ok === true;
      },
    );
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return {
    url,
    pid: child.pid ?? 0,
    async stop() {
      if (hasEnded(child)) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await gone;
      clearTimeout(timer);
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
