import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { describe, it } from "node:test";
import { pino } from "pino";
import { type Engine, keepRunning } from "./keep-running.ts";
import { findProcess } from "./owner.ts";

const log = pino({ level: "silent" });

/** A process that does nothing until it is ended. */
type Idle = Engine & { readonly child: ChildProcess; readonly name: string };

function idle(before: Idle | undefined): Promise<Idle> {
  const child = spawn("sleep", ["60"]);
  const exited = new Promise((done) => child.once("exit", done));
  const stop = async () => {
    child.kill();
    await exited;
  };
  return Promise.resolve({ child, exited, stop, name: before?.name ?? "first" });
}

describe("an engine kept running", () => {
  it("is started again where it was when it ends unasked, and not when it is stopped", async () => {
    let starts = 0;
    const started: Idle[] = [];
    let told = () => {};
    const restarted = new Promise<void>((done) => {
      told = done;
    });
    const kept = await keepRunning<Idle>(
      "idle",
      async (before) => {
        starts += 1;
        // The port it had may not be free at once.
        if (starts === 2) throw new Error("port in use");
        const engine = await idle(before);
        started.push(engine);
        if (starts === 3) told();
        return engine;
      },
      log,
    );
    const [first] = started;
    first?.child.kill("SIGKILL");
    await restarted;
    assert.equal(kept.current().name, "first");
    await kept.stop();
    assert.equal(starts, 3);
    for (const { child } of started) assert.equal(findProcess(child.pid ?? 0), undefined);
  });

  it("stopped while it comes back, it does not stay", async () => {
    const started: Idle[] = [];
    let come = () => {};
    const door = new Promise<void>((open) => {
      come = open;
    });
    const kept = await keepRunning<Idle>(
      "idle",
      async (before) => {
        if (before !== undefined) await door;
        const engine = await idle(before);
        started.push(engine);
        return engine;
      },
      log,
    );
    started[0]?.child.kill("SIGKILL");
    await kept.current().exited;
    const stopped = kept.stop();
    come();
    await stopped;
    for (const { child } of started) assert.equal(findProcess(child.pid ?? 0), undefined);
  });
});
