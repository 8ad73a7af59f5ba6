import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRunning, type ProcessId, parseProcessId } from "./owner.ts";

/** A broker that the process which started it left running. */
export type Orphan = {
  readonly process: ProcessId;
  readonly port: number;
  readonly version: string;
};

const fileIn = (folder: string) => join(folder, "broker.json");

/** Remembers a broker in its folder, so that the next start finds it when its parent is killed. */
export function rememberBroker(folder: string, broker: Orphan): void {
  writeFileSync(fileIn(folder), JSON.stringify(broker));
}

export function forgetBroker(folder: string): void {
  rmSync(fileIn(folder), { force: true });
}

/** The broker that still runs on this folder, if any; only to be asked by who has locked it. */
export function findOrphan(folder: string): Orphan | undefined {
  try {
    const value = JSON.parse(readFileSync(fileIn(folder), "utf8")) as Partial<Orphan>;
    const id = parseProcessId(JSON.stringify(value.process));
    const { port, version } = value;
    return id !== undefined && port !== undefined && version !== undefined && isRunning(id)
      ? { process: id, port, version }
      : undefined;
  } catch {
    return undefined;
  }
}
